"""Prints a mail as JSON, read by Python's own package: `python read_mail.py FILE`."""

import email
import email.policy
import json
import sys
from pathlib import Path

mail = email.message_from_bytes(Path(sys.argv[1]).read_bytes(), policy=email.policy.default)
parts = {
    # As people see it: lines, without empty ones at the end.
    part.get_content_type(): part.get_content().replace("\r\n", "\n").rstrip("\n") + "\n"
    for part in mail.walk()
    if not part.is_multipart()
}
json.dump(
    {
        "headers": {name.lower(): str(value) for name, value in mail.items()},
        "names": [name.lower() for name in mail.keys()],
        "parts": parts,
        "defects": [str(defect) for part in mail.walk() for defect in part.defects],
    },
    sys.stdout,
)
