"""Writes src/markup/emoji.txt from the npm package emojibase-data 17.0.0, unpacked in the directory that is given.

    npm pack emojibase-data@17.0.0 && tar xzf emojibase-data-17.0.0.tgz
    python3 crates/transcript/emoji.py package > crates/transcript/src/markup/emoji.txt

JoyPixels' codes come first, because Rocket.Chat uses them; a code that is only in another list is taken from there.
"""

import json
import sys
from pathlib import Path

package = Path(sys.argv[1])
language = package / "en"


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


emoji = {}
for entry in load(language / "data.json"):
    for form in [entry, *entry.get("skins", [])]:
        emoji[form["hexcode"]] = form["emoji"]

codes = {}
for name in ("joypixels", "github", "emojibase", "iamcal", "emojibase-legacy"):
    for hexcode, names in load(language / "shortcodes" / f"{name}.json").items():
        plain = "".join(chr(int(part, 16)) for part in hexcode.split("-"))
        for code in [names] if isinstance(names, str) else names:
            codes.setdefault(code, emoji.get(hexcode, plain))

sys.stdout.write("".join(f"{code}\t{codes[code]}\n" for code in sorted(codes)))
