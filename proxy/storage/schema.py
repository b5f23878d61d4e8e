"""The tables of the catalog's file, and the statements over them."""

SCHEMA_VERSION = 2
"""Told by `PRAGMA user_version` once a file has all that this version tells; 2 has contents, uses, answers and pins."""

TABLES = {
    "tags": """(
        upstream TEXT NOT NULL, repository TEXT NOT NULL, tag TEXT NOT NULL,
        state TEXT NOT NULL, checked_at REAL NOT NULL, media_type TEXT, digest TEXT, size INTEGER,
        PRIMARY KEY (upstream, repository, tag)
    ) WITHOUT ROWID""",
    "links": """(
        upstream TEXT NOT NULL, repository TEXT NOT NULL, digest TEXT NOT NULL,
        origin TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER, is_proven INTEGER NOT NULL,
        PRIMARY KEY (upstream, repository, digest)
    ) WITHOUT ROWID""",
    "answers": """(
        upstream TEXT NOT NULL, repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL,
        PRIMARY KEY (upstream, repository, tag)
    ) WITHOUT ROWID""",
    "contents": "(parent TEXT NOT NULL, child TEXT NOT NULL, PRIMARY KEY (parent, child)) WITHOUT ROWID",
    "uses": "(digest TEXT NOT NULL PRIMARY KEY, used_at REAL NOT NULL) WITHOUT ROWID",
    "pins": """(
        upstream TEXT NOT NULL, repository TEXT NOT NULL, target TEXT NOT NULL,
        PRIMARY KEY (upstream, repository, target)
    ) WITHOUT ROWID""",
    "revision": "(id INTEGER PRIMARY KEY CHECK (id = 0), count INTEGER NOT NULL)",
}
SCHEMA = "".join(f"CREATE TABLE IF NOT EXISTS {name} {columns};\n" for name, columns in TABLES.items())
SCHEMA += "CREATE INDEX IF NOT EXISTS links_by_digest ON links (digest);\n"

PUT_TAG = """
REPLACE INTO tags (upstream, repository, tag, state, checked_at, media_type, digest, size)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
PUT_TAG_LATE = """
INSERT INTO tags (upstream, repository, tag, state, checked_at, media_type, digest, size)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET state = excluded.state, checked_at = excluded.checked_at, media_type = excluded.media_type,
    digest = excluded.digest, size = excluded.size
WHERE excluded.checked_at >= checked_at
"""
LATE = {PUT_TAG: PUT_TAG_LATE}
"""What is executed instead where a write had to wait: another process may have heard something newer meanwhile."""
FIND_TAG = """
SELECT upstream, repository, tag, state, checked_at, media_type, digest, size FROM tags
WHERE upstream = ? AND repository = ? AND tag = ?
"""
LIST_TAGS = """
SELECT upstream, repository, tag, state, checked_at, media_type, digest, size FROM tags
WHERE (upstream = ?1 OR ?1 IS NULL) AND (repository = ?2 OR ?2 IS NULL)
"""
LIST_REPOSITORY_TAGS = """
SELECT upstream, repository, tag, state, checked_at, media_type, digest, size FROM tags
WHERE upstream = ? AND repository = ?
"""
LIST_ALL_TAGS = "SELECT upstream, repository, tag, state, checked_at, media_type, digest, size FROM tags"
PUT_LINK = """
INSERT INTO links (upstream, repository, digest, origin, media_type, size, is_proven) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET origin = excluded.origin, media_type = excluded.media_type, size = excluded.size,
    is_proven = excluded.is_proven
WHERE excluded.is_proven OR NOT is_proven
"""
FIND_LINK = "SELECT origin, media_type, size, is_proven FROM links WHERE upstream = ? AND repository = ? AND digest = ?"
LIST_LINKS = "SELECT upstream, repository, digest, origin, media_type, size, is_proven FROM links"
PUT_ANSWER = "REPLACE INTO answers (upstream, repository, tag, digest) VALUES (?, ?, ?, ?)"
LIST_ANSWERS = "SELECT upstream, repository, tag, digest FROM answers"
PUT_CONTENT = "INSERT OR IGNORE INTO contents (parent, child) VALUES (?, ?)"
LIST_CONTENTS = "SELECT parent, child FROM contents"
PUT_USE = """
INSERT INTO uses (digest, used_at) VALUES (?, ?)
ON CONFLICT DO UPDATE SET used_at = max(used_at, excluded.used_at)
"""
LIST_USES = "SELECT digest, used_at FROM uses"
PUT_PIN = "INSERT OR IGNORE INTO pins (upstream, repository, target) VALUES (?, ?, ?)"
REMOVE_PIN = "DELETE FROM pins WHERE upstream = ? AND repository = ? AND target = ?"
LIST_PINS = "SELECT upstream, repository, target FROM pins"
FORGET_CONTENT = (
    "DELETE FROM contents WHERE parent IN (SELECT value FROM json_each(?))",
    "DELETE FROM uses WHERE digest IN (SELECT value FROM json_each(?))",
    "DELETE FROM answers WHERE digest IN (SELECT value FROM json_each(?))",
    "DELETE FROM tags WHERE digest IN (SELECT value FROM json_each(?))",
    "DELETE FROM links WHERE digest IN (SELECT value FROM json_each(?)) AND origin = repository",
)
"""Each takes all digests as one JSON list: tags and answers have no index by digest, and are looked through once."""
FORGET_ANSWER = "DELETE FROM answers WHERE upstream = ? AND repository = ? AND tag = ?"
FORGET_TAG = ("DELETE FROM tags WHERE upstream = ? AND repository = ? AND tag = ?", FORGET_ANSWER)
FORGET_ABSENT = """
DELETE FROM tags WHERE checked_at < ?
    AND tag NOT IN (SELECT tag FROM tags WHERE state = 'present' UNION SELECT tag FROM answers)
"""
READ_REVISION = "SELECT count FROM revision"
RAISE_REVISION = "INSERT INTO revision (id, count) VALUES (0, 1) ON CONFLICT DO UPDATE SET count = count + 1"
