"""Registries over HTTP: the client, its tokens, redirects, retries and quota.

`transport` puts httpx's API over aiohttp's connections; `addresses` says where a redirect may lead; `token_auth` is the
token conversation without I/O; `client` joins them into the `Upstream` port. httpx is imported here and nowhere else.
"""
