"""Many clients that post and poll at the same time: `python load.py SITE PID CLIENTS SECONDS EXPORTS USERS.json`.

USERS is a list of `{"id", "token", "room"}`; each client is one of them.  For SECONDS all clients ask for EXPORTS
different exports, each again as soon as it has ended, and ask how far they are; then all that were accepted are waited
for.  Prints what was counted as JSON, and fails when an answer is neither 200 nor 429, an accepted export is lost or
does not end well, or the server's memory grows.
"""

import http.client
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

site, pid, clients, seconds, exports, users = sys.argv[1:]
clients, seconds, exports = int(clients), float(seconds), int(exports)
users = json.loads(Path(users).read_text())
address = urlsplit(site).netloc
statuses = Counter()
latencies = []
accepted = {}
strange = []
lock = threading.Lock()
over = threading.Event()
ready = threading.Barrier(clients + 1)


class Client:
    def __init__(self, user):
        self.user = user
        self.connection = http.client.HTTPConnection(address, timeout=60)
        self.headers = {"X-User-Id": user["id"], "X-Auth-Token": user["token"]}

    def call(self, method, path, body=None):
        begin = time.monotonic()
        headers = dict(self.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        took = time.monotonic() - begin
        with lock:
            statuses[answer.status] += 1
            latencies.append(took)
            if answer.status not in (200, 429):
                strange.append((method, path, answer.status, content.decode(errors="replace")[:200]))
        return answer.status, answer.headers, content

    def post(self, number):
        # Requests differ by their first day, so that they are different exports.
        body = {
            "rid": self.user["room"],
            "type": "file",
            "format": "html" if number % 2 else "json",
            "dateFrom": f"2000-01-{number % exports + 1:02}",
        }
        status, headers, _ = self.call("POST", "/api/v1/rooms.export", body)
        if status == 200:
            place = headers["Location"]
            with lock:
                accepted[place] = self.user
            return place
        return None

    def state(self, place):
        status, _, content = self.call("GET", place)
        return json.loads(content)["export"]["state"] if status == 200 else None


def work(number):
    client = Client(users[number % len(users)])
    try:
        ready.wait()
        place = None
        while not over.is_set():
            place = client.post(number) or place
            for _ in range(4):
                if place and not over.is_set():
                    client.state(place)
    except Exception as error:  # A thread that dies must not die silently.
        with lock:
            strange.append(("client", number, repr(error), ""))


def resident():
    """Memory now and at its highest, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = dict(line.split(":", 1) for line in status.splitlines())
    return [int(line[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")]


threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(clients)]
for thread in threads:
    thread.start()
ready.wait()
begin = time.monotonic()
memory = []
while time.monotonic() < begin + seconds:
    time.sleep(min(seconds / 20, 1))
    memory.append(resident())
over.set()
for thread in threads:
    thread.join(60)
took = time.monotonic() - begin

ends = Counter()
clients_by_user = {}
limit = time.monotonic() + 300
for place, user in accepted.items():
    client = clients_by_user.setdefault(user["id"], Client(user))
    while (state := client.state(place)) in ("queued", "running", None):
        assert time.monotonic() < limit, f"{place} does not end"
        time.sleep(0.05)
    ends[state] += 1
last = resident()

latencies.sort()
# The first third is warming up: connections, threads and what the allocator keeps.
third = max(1, len(memory) // 3)
middle = max(rss for rss, _ in memory[third : 2 * third])
late = max(rss for rss, _ in memory[2 * third :])
json.dump(
    {
        "clients": clients,
        "seconds": round(took, 1),
        "answers": dict(statuses),
        "answersPerSecond": round(len(latencies) / took),
        "milliseconds": {
            "median": round(1000 * latencies[len(latencies) // 2], 1),
            "p99": round(1000 * latencies[len(latencies) * 99 // 100], 1),
            "most": round(1000 * latencies[-1], 1),
        },
        "accepted": len(accepted),
        "ended": dict(ends),
        "memory": {"middle": middle, "late": late, "last": last[0], "highest": last[1]},
        "strange": strange[:10],
    },
    sys.stdout,
)
print()
assert not strange, strange[:10]
assert set(ends) == {"done"} and len(accepted) >= exports, ends
assert late <= middle + 24 * 1024 * 1024, (middle, late)
