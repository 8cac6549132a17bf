"""Prints a mail as JSON, read by Python's own package: `python read_mail.py FILE`."""

import email
import email.policy
import hashlib
import json
import re
import sys
from pathlib import Path

raw = Path(sys.argv[1]).read_bytes()
mail = email.message_from_bytes(raw, policy=email.policy.SMTPUTF8)


def structure(part):
    """The types of the parts, nested as they are."""
    kind = part.get_content_type()
    return [kind, *map(structure, part.iter_parts())] if part.is_multipart() else kind


def lines(part):
    """As people see it: lines, without empty ones at the end."""
    return part.get_content().replace("\r\n", "\n").rstrip("\n") + "\n"


def defects(part):
    yield from part.defects
    for name, value in part.items():
        yield from (f"{name}: {defect}" for defect in value.defects)


leaves = [part for part in mail.walk() if not part.is_multipart()]
texts = [part for part in leaves if part.get_content_disposition() is None]
files = [part for part in leaves if part.get_content_disposition() is not None]
json.dump(
    {
        "headers": {name.lower(): str(value) for name, value in mail.items()},
        "names": [name.lower() for name in mail.keys()],
        "structure": structure(mail),
        "parts": {part.get_content_type(): lines(part) for part in texts},
        "files": [
            {
                "name": part.get_filename(),
                "type": part.get_content_type(),
                "disposition": part.get_content_disposition(),
                "id": part["content-id"] and part["content-id"].strip("<>"),
                "sha256": hashlib.sha256(part.get_payload(decode=True)).hexdigest(),
            }
            for part in files
        ],
        "defects": [str(defect) for part in mail.walk() for defect in defects(part)],
        # RFC 5322 §2.1.1: lines end with CRLF only, and have at most 998 bytes; 78 are better.
        "longest": max(map(len, raw.split(b"\r\n"))),
        "bare": len(re.findall(rb"(?<!\r)\n|\r(?!\n)", raw)),
        "ascii": raw.isascii(),
        "size": len(raw),
    },
    sys.stdout,
)
