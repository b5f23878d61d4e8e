"""What every implementation of a port does: one suite a port, run over the real ones and the fakes alike.

A suite is a class without `Test` in front of its name. Whoever implements the port subclasses it where its own tests
are, and gives the fixtures that the suite's docstring asks for.
"""
