"""The use cases: what happens when somebody pulls.

`pull` is the front; behind it `resolver` drives a resolution with `lookups` as its memory, `manifests` and `fill` bring
content into the store, `listing` answers tag lists and referrers. They know ports, never adapters.
"""
