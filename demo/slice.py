#!/usr/bin/env python3
"""Cuts the demo workspace out of a large dump of a Rocket.Chat database.

    .tools/venv/bin/python demo/slice.py [DUMP]

DUMP is a directory with `rocketchat/*.bson.gz`, `files/` and `EXPECTED.json`; `ATTRIBUTION.md` says
where such a dump comes from.  Written are, beside this script:

    workspace.archive.gz   a mongodump archive
    files/                 the bytes of the uploads that are kept in the file system
    EXPECTED.json          what an export of this archive has to contain

The same input gives the same bytes.  Documents are copied byte by byte, so that odd types (a size as a
double, a missing chunk) survive.  The counts in EXPECTED.json are made here, with another BSON
implementation than the product's; they are first checked against the counts that came with the dump.
"""

import gzip
import hashlib
import json
import shutil
import struct
import sys
import zlib
from collections import Counter, defaultdict
from datetime import timezone
from pathlib import Path

import bson

HERE = Path(__file__).resolve().parent
DATABASE = "rocketchat"

MAGIC = 0x8199E26D
TERMINATOR = struct.pack("<i", -1)

# Whole days of the channel `general`: an unknown message type; an empty file and a muted user; a sound,
# a changed avatar and announcement.
GENERAL = "GENERAL"
GENERAL_DAYS = {"2018-02-28", "2010-08-05", "2008-07-04"}
HELPDESK = "PJhBvQzXC8ixJZhMG"
# The short day around midnight: messages at 23:59:59.999, 00:00:00.000 (two) and 00:00:00.001.
HELPDESK_DAYS = {"2014-06-19", "2011-11-14"}
# Types of system messages that are frequent: the chosen days have some, a few of each are enough.
FREQUENT = {"uj", "ul", "au", "rm", "message_pinned", "ut", "ru", "ui", "uir", "wm", "r"}
FEW = 2
# A message whose files take more than this, compressed, is left out ...
FILE_LIMIT = 7_500
# ... in the sliced rooms, unless its file is named here.
WANTED_FILES = {"\U0001f600 party \U0001f389.jpg", "c%20d%2Fe.txt", "سجل.txt", "con"}
NEIGHBOURS = 2
IMPORTED = 20


def main():
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parents[1] / "shared/data/workspace"
    dump = Dump(source)
    given = json.loads((source / "EXPECTED.json").read_text())
    check_counting(dump, given)

    kept = choose(dump, given)
    clear(HERE / "files")
    for upload in kept["rocketchat_uploads"]:
        if upload["store"].startswith("FileSystem"):
            name = Path(upload_path(dump, upload)).name
            shutil.copyfile(source / "files" / name, HERE / "files" / name)

    archive = HERE / "workspace.archive.gz"
    with archive.open("wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as packed:
        digests = write_archive(packed, dump, kept)

    slice_ = Slice(dump, kept)
    expected = expectations(slice_, given)
    expected["archive"] = {
        "gzipBytes": archive.stat().st_size,
        "collections": digests,
    }
    text = json.dumps(expected, indent=1, ensure_ascii=False, sort_keys=False)
    (HERE / "EXPECTED.json").write_text(text + "\n")
    messages = sum(room["messages"]["total"] for room in expected["rooms"].values())
    print(f"{archive.stat().st_size:,} bytes of archive, {messages:,} messages, "
          f"{len(kept['users'])} users, {len(kept['rocketchat_uploads'])} uploads, "
          f"{sum(f.stat().st_size for f in (HERE / 'files').iterdir()):,} bytes of files")


# ---------------------------------------------------------------- reading

class Dump:
    """All collections of the dump, decoded and as the bytes they were decoded from."""

    def __init__(self, source):
        self.source = source
        self.documents = {}
        self.metadata = {}
        self.raw = {}
        for path in sorted((source / DATABASE).glob("*.bson.gz")):
            name = path.name.removesuffix(".bson.gz")
            documents = []
            for raw in split(gzip.decompress(path.read_bytes())):
                document = bson.decode(raw)
                self.raw[id(document)] = raw
                documents.append(document)
            self.documents[name] = documents
            metadata = path.with_name(f"{name}.metadata.json.gz")
            self.metadata[name] = gzip.decompress(metadata.read_bytes()).decode()
        self.chunks = defaultdict(list)
        for chunk in self.documents["rocketchat_uploads.chunks"]:
            self.chunks[chunk["files_id"]].append(chunk)

    def __getitem__(self, name):
        return self.documents[name]


class Slice:
    """The chosen documents, with the same face as `Dump`."""

    def __init__(self, dump, kept):
        self.source = HERE
        self.documents = kept
        self.chunks = defaultdict(list)
        for chunk in kept["rocketchat_uploads.chunks"]:
            self.chunks[chunk["files_id"]].append(chunk)

    def __getitem__(self, name):
        return self.documents[name]


def split(data):
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<i", data, at)
        yield data[at:at + size]
        at += size


def clear(directory):
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir()


# ---------------------------------------------------------------- choosing

def choose(dump, given):
    uploads = {upload["_id"]: upload for upload in dump["rocketchat_uploads"]}
    messages = choose_messages(dump, uploads)
    rooms = {room["_id"] for room in dump["rocketchat_room"]}

    people = {user["username"] for user in given["credentials"]} | {"rocket.cat"}
    ids = set()
    authors = set()
    for message in messages:
        authors.add((message["rid"], message["u"]["_id"]))
        ids.add(message["u"]["_id"])
        ids.add((message.get("editedBy") or {}).get("_id"))
        ids.update(mention.get("_id") for mention in message.get("mentions") or [])
        for reaction in (message.get("reactions") or {}).values():
            people.update(reaction.get("usernames") or [])
    users = [user for user in dump["users"] if user["_id"] in ids or user.get("username") in people]
    named = {user["_id"] for user in users
             if user.get("username") in {known["username"] for known in given["credentials"]}}

    files = {file for message in messages for file in file_ids(message, thumbnails=True)}
    # Uploads that no message names: one that was never sent, previews of those that were.
    kept_uploads = [upload for upload in dump["rocketchat_uploads"]
                    if upload["_id"] in files
                    or upload.get("originalFileId") in files
                    or upload["name"] == "never-sent.txt"]
    kept_ids = files | {upload["_id"] for upload in kept_uploads}

    kept = dict(dump.documents)
    kept["rocketchat_message"] = messages
    kept["users"] = users
    kept["rocketchat_subscription"] = [
        subscription for subscription in dump["rocketchat_subscription"]
        if subscription["rid"] in rooms
        and (subscription["u"]["_id"] in named
             or (subscription["rid"], subscription["u"]["_id"]) in authors)]
    kept["rocketchat_uploads"] = kept_uploads
    kept["rocketchat_uploads.files"] = [
        file for file in dump["rocketchat_uploads.files"] if file["_id"] in kept_ids]
    kept["rocketchat_uploads.chunks"] = [
        chunk for chunk in dump["rocketchat_uploads.chunks"] if chunk["files_id"] in kept_ids]
    return kept


def choose_messages(dump, uploads):
    everything = dump["rocketchat_message"]
    by_id = {message["_id"]: message for message in everything}
    replies = defaultdict(list)
    copies = defaultdict(list)
    for message in everything:
        if message.get("tmid"):
            replies[message["tmid"]].append(message)
        if message.get("parent"):
            copies[message["parent"]].append(message)

    chosen = set()
    imported = 0
    seen = Counter()
    ordered = defaultdict(list)
    for message in everything:
        rid, day = message["rid"], message["ts"].strftime("%Y-%m-%d")
        if rid not in (GENERAL, HELPDESK):
            chosen.add(message["_id"])
            continue
        ordered[rid].append(message)
        if day in (GENERAL_DAYS if rid == GENERAL else HELPDESK_DAYS):
            chosen.add(message["_id"])
        elif message.get("t"):
            seen[message["t"]] += 1
            if message["t"] not in FREQUENT or seen[message["t"]] <= FEW:
                chosen.add(message["_id"])
        elif message.get("blocks") or message.get("translations") or message.get("location"):
            chosen.add(message["_id"])
        elif message.get("_hidden") and not message.get("parent"):
            chosen.add(message["_id"])
        elif message.get("imported") and imported < IMPORTED:
            imported += 1
            chosen.add(message["_id"])

    for rid, messages in ordered.items():
        messages.sort(key=lambda message: (message["ts"], message["_id"]))
        for place, message in enumerate(messages):
            at_midnight = message["ts"].strftime("%H:%M:%S.%f") in ("23:59:59.999000", "00:00:00.000000")
            if file_ids(message) or at_midnight:
                near = messages[max(0, place - NEIGHBOURS):place + NEIGHBOURS + 1]
                # Company for the file, but not the whole threads that the company belongs to.
                chosen.update(one["_id"] for one in near
                              if one is message or not (one.get("tmid") or one.get("tcount")))

    # A thread is whole or absent: its root counts its replies.  The same for edit history.
    pending = list(chosen)
    while pending:
        message = by_id[pending.pop()]
        related = replies[message["_id"]] + copies[message["_id"]]
        related += [by_id[key] for key in (message.get("tmid"), message.get("parent")) if key in by_id]
        for other in related:
            if other["_id"] not in chosen:
                chosen.add(other["_id"])
                pending.append(other["_id"])

    return [message for message in everything
            if message["_id"] in chosen and files_fit(dump, message, uploads)]


def files_fit(dump, message, uploads):
    if message["rid"] not in (GENERAL, HELPDESK):
        return True
    size = 0
    for file in file_ids(message, thumbnails=True):
        name = (uploads.get(file) or {}).get("name", "")
        if name in WANTED_FILES:
            return True
        size += sum(len(zlib.compress(chunk["data"], 9)) for chunk in dump.chunks[file])
    return size <= FILE_LIMIT


def file_ids(message, thumbnails=False):
    listed = list(message.get("files") or [])
    if not listed and message.get("file"):
        listed = [message["file"]]
    ids = []
    for file in listed:
        if file and file.get("_id") and (thumbnails or file.get("typeGroup") != "thumb"):
            if file["_id"] not in ids:
                ids.append(file["_id"])
    return ids


# ---------------------------------------------------------------- writing

def write_archive(out, dump, kept):
    """The format of mongodump --archive, with the messages cut in three so that blocks interleave."""
    out.write(struct.pack("<I", MAGIC))
    out.write(bson.encode({
        "concurrent_collections": 2,
        "version": "0.1",
        "server_version": "8.0.13",
        "tool_version": "100.13.0",
    }))
    for name in kept:
        out.write(bson.encode({
            "db": DATABASE,
            "collection": name,
            "metadata": dump.metadata[name],
            "size": 0,
            "type": "collection",
        }))
    out.write(TERMINATOR)

    def block(name, documents):
        out.write(namespace(name, False, 0))
        for document in documents:
            out.write(dump.raw[id(document)])
        out.write(TERMINATOR)

    def end(name):
        data = b"".join(dump.raw[id(document)] for document in kept[name])
        checksum = crc64(data)
        out.write(namespace(name, True, checksum - (1 << 64) if checksum >> 63 else checksum))
        out.write(TERMINATOR)
        return {"documents": len(kept[name]), "bsonBytes": len(data), "crc64": f"{checksum:016x}"}

    digests = {}
    messages = kept["rocketchat_message"]
    third = len(messages) // 3
    parts = [messages[:third], messages[third:2 * third], messages[2 * third:]]
    for name in kept:
        if name == "rocketchat_message":
            continue
        if parts and name in ("rocketchat_avatars", "rocketchat_settings", "users"):
            block("rocketchat_message", parts.pop(0))
        block(name, kept[name])
        digests[name] = end(name)
    digests["rocketchat_message"] = end("rocketchat_message")
    return dict(sorted(digests.items()))


def namespace(name, eof, checksum):
    return bson.encode({"db": DATABASE, "collection": name, "EOF": eof, "CRC": bson.Int64(checksum)})


def crc64_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0xC96C5795D7870F42 if value & 1 else 0)
        table.append(value)
    return table


CRC64 = crc64_table()


def crc64(data):
    """CRC-64 with the ECMA-182 polynomial, reflected: what Go calls crc64.ECMA and xz uses."""
    value = 0xFFFFFFFFFFFFFFFF
    table = CRC64
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFFFFFFFFFF


# ---------------------------------------------------------------- counting

def expectations(source, given):
    uploads = {key: given["uploads"]["byId"].get(key) for key in all_files(source)}
    states = {key: state_of(source, key) for key in uploads}
    return {
        "about": "Facts about workspace.archive.gz, for checking exports against it. "
                 "Counts under `visible` and `files` leave out messages with _hidden.",
        "database": DATABASE,
        "rooms": {room["_id"]: room_facts(source, room) for room in source["rocketchat_room"]},
        "uploads": {key: {
            "name": known["name"],
            "type": known["type"],
            "rid": known["rid"],
            "store": known["store"],
            "thumbnail": known["thumbnail"],
            **states[key],
        } for key, known in uploads.items() if known},
        "e2e": {key: given["e2e"][key] for key in ("room", "passphrases")},
        "credentials": [one for one in given["credentials"] if one.get("authToken")],
    }


def all_files(source):
    ids = dict.fromkeys(upload["_id"] for upload in source["rocketchat_uploads"])
    for message in source["rocketchat_message"]:
        ids.update(dict.fromkeys(file_ids(message, thumbnails=True)))
    return list(ids)


def room_facts(source, room):
    messages = [one for one in source["rocketchat_message"] if one["rid"] == room["_id"]]
    visible = [one for one in messages if not one.get("_hidden")]
    hidden = [one for one in messages if one.get("_hidden")]
    times = sorted(one["ts"] for one in visible)
    references = [file for one in visible for file in file_ids(one)]
    states = {file: state_of(source, file) for file in references}
    return {
        "t": room["t"],
        "name": room.get("name"),
        "fname": room.get("fname"),
        "messages": {
            "total": len(messages),
            "visible": len(visible),
            "hidden": len(hidden),
            "historyCopies": sum(1 for one in hidden if one.get("parent")),
            "hiddenDeleted": sum(1 for one in hidden if not one.get("parent")),
            "byType": dict(sorted(Counter(one["t"] for one in visible if one.get("t")).items())),
        },
        "firstTs": moment(times[0]) if times else None,
        "lastTs": moment(times[-1]) if times else None,
        "visible": {
            "threadRoots": sum(1 for one in visible if one.get("tcount")),
            "threadReplies": sum(1 for one in visible if one.get("tmid")),
            "withReactions": sum(1 for one in visible if one.get("reactions")),
            "edited": sum(1 for one in visible if one.get("editedAt") and one.get("t") != "rm"),
            "deleted": sum(1 for one in visible if one.get("t") == "rm"),
            "pinned": sum(1 for one in visible if one.get("pinned")),
            "withMd": sum(1 for one in visible if one.get("md")),
        },
        "files": {
            "references": len(references),
            "unique": len(states),
            "available": sum(1 for state in states.values() if state["state"] == "ok"),
            "bytes": sum(state["size"] for state in states.values() if state["state"] == "ok"),
            "unavailable": {file: state["state"] for file, state in states.items()
                            if state["state"] != "ok"},
        },
        "perDay": dict(sorted(Counter(one["ts"].strftime("%Y-%m-%d") for one in visible).items())),
    }


def moment(time):
    return time.replace(tzinfo=timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def upload_path(dump, upload):
    """Rocket.Chat names a file in the file system by the id and the extension of the upload."""
    plain = dump.source / "files" / upload["_id"]
    extension = upload.get("extension")
    dotted = dump.source / "files" / f"{upload['_id']}.{extension}"
    return dotted if extension and dotted.exists() else plain


def state_of(source, key):
    uploads = getattr(source, "uploads", None)
    if uploads is None:
        uploads = source.uploads = {one["_id"]: one for one in source["rocketchat_uploads"]}
        source.lengths = {one["_id"]: one for one in source["rocketchat_uploads.files"]}
        source.states = {}
    if key not in source.states:
        source.states[key] = read_upload(source, uploads.get(key), key)
    return source.states[key]


def read_upload(source, upload, key):
    missing = {"size": None, "sha256": None}
    if upload is None:
        return {"state": "record missing", **missing}
    if upload["store"].startswith("FileSystem"):
        data = upload_path(source, upload).read_bytes()
    else:
        file = source.lengths.get(key)
        if file is None:
            return {"state": "file missing", **missing}
        length, size = int(file["length"]), int(file["chunkSize"])
        wanted = -(-length // size)
        parts = {int(chunk["n"]): chunk["data"] for chunk in source.chunks[key]}
        if wanted and not parts:
            return {"state": "chunks missing", **missing}
        for number in range(wanted):
            if number not in parts:
                return {"state": f"chunk {number} of {wanted} missing", **missing}
        data = b"".join(parts[number] for number in range(wanted))
        if len(data) != length:
            return {"state": f"{len(data)} of {length} bytes", **missing}
    return {"state": "ok", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def check_counting(dump, given):
    """Proves the counting above on the whole dump, whose figures were made by its author."""
    mistakes = []

    def same(place, ours, theirs):
        if ours != theirs:
            mistakes.append(f"{place}: {ours!r} instead of {theirs!r}")

    for room in dump["rocketchat_room"]:
        ours, theirs = room_facts(dump, room), given["rooms"][room["_id"]]
        for key in ours["messages"]:
            same(f"{room['_id']} {key}", ours["messages"][key], theirs["messages"][key])
        for key in ours["visible"]:
            same(f"{room['_id']} {key}", ours["visible"][key], theirs["visible"][key])
        for key in ours["files"]:
            same(f"{room['_id']} files {key}", ours["files"][key], theirs["files"][key])
        for key in ("firstTs", "lastTs", "perDay"):
            same(f"{room['_id']} {key}", ours[key], theirs[key])
    for key, known in given["uploads"]["byId"].items():
        ours = state_of(dump, key)
        same(key, ours["sha256"], known["sha256"])
        same(key, ours["size"], known["size"])
    if mistakes:
        sys.exit("the counting in this script is wrong:\n" + "\n".join(mistakes[:40]))


if __name__ == "__main__":
    main()
