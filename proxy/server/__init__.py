"""HTTP in: the registry's pull API over aiohttp.

A handler parses, calls a use case, and writes. Errors and the log line are the business of `middleware`, in the order
of `connections.build_server`.
"""
