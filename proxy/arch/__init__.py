"""Which image for which CPU: pure decisions over tables.

`words` (what people call a platform) → `kernels`, `detection` (who asks) → `compatibility` (what that machine runs) →
`candidates` (where a build may live) → `synthesis` (one index from several repositories) → `resolution` (all of it, as
a conversation without I/O).
"""
