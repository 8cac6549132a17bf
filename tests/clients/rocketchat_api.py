"""Exports a room with the stock Python client: `python rocketchat_api.py SITE USER PASSWORD ID TOKEN ROOM`.

Logs in with the password and then with the token, and does the same with both.  Nothing here knows more of the server
than its documentation says.
"""

import io
import json
import sys
import time
import zipfile
from urllib.parse import urlsplit

from rocketchat_API.APIExceptions.RocketExceptions import RocketApiException
from rocketchat_API.rocketchat import RocketChat

site, user, password, user_id, token, room = sys.argv[1:]


def export(client, form):
    assert client.me()["username"] == user, client.me()
    answer = client.call_api_post("rooms.export", rid=room, type="file", format=form)
    assert answer == {"success": True}, answer
    newest = client.call_api_get("rooms.export.list", rid=room)["exports"][0]["id"]
    end = time.monotonic() + 60
    while True:
        found = client.call_api_get("rooms.export.status", id=newest)["export"]
        if found["state"] not in ("queued", "running"):
            break
        assert time.monotonic() < end, found
        time.sleep(0.05)
    assert found["state"] == "done", found
    # Users reach the server by the workspace's Site_Url, which is not where it answers here.
    path = urlsplit(found["fileUrl"]).path
    answer = client.session.get(site + path, headers=client.headers, timeout=30)
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert packed.testzip() is None
        manifest = json.loads(packed.read("manifest.json"))
    assert manifest["room"]["_id"] == room and manifest["query"]["format"] == form, manifest
    assert manifest["messages"]["rendered"] > 0, manifest


def refused(client, **arguments):
    try:
        client.call_api_post("rooms.export", **arguments)
    except RocketApiException as error:
        return error.status_code
    raise AssertionError("it was not refused")


by_password = RocketChat(user, password, server_url=site)
export(by_password, "json")
export(RocketChat(user_id=user_id, auth_token=token, server_url=site), "html")
assert refused(by_password, rid="nowhere", type="file", format="json") == 400
assert refused(by_password, rid=room, type="file", format="pdf") == 400
print(json.dumps(by_password.logout()))
