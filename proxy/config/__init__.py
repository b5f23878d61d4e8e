"""Settings: frozen values from defaults, a TOML file, the environment and flags, in rising order of precedence.

`parsers` turns what a person wrote into values, `schema` names every setting with its parser, its sentence and its
default, `loading` reads file and environment. The only reader of the environment: `POLYARCH_<SECTION>_<KEY>` for every
scalar of a section (`POLYARCH_CACHE_TAG_TTL`), and `POLYARCH_CONFIG` for the file.
"""
