"""The registry's language: values parsed once at the edge, with their text form as the inverse.

Nothing here does I/O, reads a clock or knows a policy. The grammars and names are those of the OCI image-spec and
distribution-spec (1.1.1); where Docker's own documents differ, the table that needs it says so.
"""
