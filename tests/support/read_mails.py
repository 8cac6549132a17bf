"""Reads the mails of an export with Python's own packages, and puts each into a file for notmuch.

    python read_mails.py MBOX|DIRECTORY MAILDIR

Prints as JSON: how many there are, what is wrong with them, and the digests of the files in them."""

import email
import email.policy
import hashlib
import json
import mailbox
import sys
from pathlib import Path

source, maildir = map(Path, sys.argv[1:])
if source.is_dir():
    mails = [path.read_bytes() for path in sorted(source.glob("mails/*.eml"))]
else:
    box = mailbox.mbox(source, create=False)
    mails = [box.get_bytes(key) for key in box.keys()]
(maildir / "cur").mkdir(parents=True)
found = {"count": len(mails), "defects": [], "ids": [], "files": [], "texts": []}
for number, raw in enumerate(mails):
    (maildir / "cur" / f"{number:06}").write_bytes(raw)
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    found["ids"].append(mail["message-id"])
    for name in ("from", "to", "subject", "date", "message-id"):
        if name not in mail:
            found["defects"].append(f"{number}: no {name}")
    for part in mail.walk():
        found["defects"] += [f"{number}: {defect}" for defect in part.defects]
        for name, value in part.items():
            found["defects"] += [f"{number}: {name}: {defect}" for defect in value.defects]
        if part.get_content_disposition() == "attachment":
            digest = hashlib.sha256(part.get_payload(decode=True)).hexdigest()
            found["files"].append(digest)
    found["texts"].append(mail.get_body(("plain",)).get_content())
found["files"] = sorted(set(found["files"]))
found["ids"] = len(set(found["ids"]))
json.dump(found, sys.stdout)
