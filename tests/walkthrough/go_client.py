"""A client that behaves as the reference's Go client does, which heketi-cli and Kubernetes are built on.

Each request goes over a connection of its own, which is left open afterwards. Tokens live five minutes and hold for one
method and path: each hop of a redirect has its own. Queue answers are polled every 400 ms."""
import hashlib
import random
import time
from urllib.parse import urljoin, urlsplit

import jwt
import requests

POLL_DELAY = 0.4
RETRIES = 6


class Refused(Exception):
    """The server's error text, as the client shows it."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


def qsh(method, url):
    return hashlib.sha256(f"{method}&{urlsplit(url).path}".encode()).hexdigest()


class GoClient:
    def __init__(self, url, user, key, patience=900):
        self.url, self.user, self.key, self.patience = url, user, key, patience
        self.polls = 0
        self._left_open = []

    def _token(self, method, url):
        now = int(time.time())
        claims = {"iss": self.user, "iat": now, "exp": now + 300, "qsh": qsh(method, url)}
        return "bearer " + jwt.encode(claims, self.key, algorithm="HS256")

    def _exchange(self, method, url, body, authorization, content_type):
        session = requests.Session()
        session.trust_env = False
        # Nothing but what the Go client sends.
        session.headers.clear()
        headers = {"User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip", "Authorization": authorization}
        if content_type:
            headers["Content-Type"] = content_type
        self._left_open.append(session)
        return session.request(method, url, json=body, headers=headers, allow_redirects=False, timeout=self.patience)

    def _follow(self, method, url, body=None, content_type="application/json", authorization=None):
        """One request and its redirects, as Go's http.Client makes them: 303 turns into GET."""
        answer = self._exchange(method, url, body, authorization or self._token(method, url), content_type)
        while answer.status_code in (301, 302, 303, 307, 308):
            url = urljoin(url, answer.headers["Location"])
            method, body = "GET", None
            answer = self._exchange(method, url, body, self._token(method, url), content_type)
        return answer

    def _first(self, method, path, body, content_type):
        url = self.url + path
        # Retries of a request that was refused as too many go out with its first token.
        authorization = self._token(method, url)
        for attempt in range(RETRIES + 1):
            answer = self._follow(method, url, body, content_type, authorization)
            if answer.status_code != 429:
                break
            if attempt < RETRIES:
                after = answer.headers.get("Retry-After", "")
                time.sleep(int(after) + random.randint(0, 9) if after.isdigit() else random.randint(10, 29))
        return answer

    def call(self, method, path, body=None, expect=200, content_type="application/json"):
        """A request that is answered at once."""
        answer = self._first(method, path, body, content_type)
        if answer.status_code != expect:
            raise Refused(answer.status_code, answer.text.strip())
        return answer.json() if answer.content else None

    def job(self, method, path, body=None, expect=200, content_type="application/json"):
        """A request that starts something, followed to its end."""
        answer = self._first(method, path, body, content_type)
        if answer.status_code != 202:
            raise Refused(answer.status_code, answer.text.strip())
        where = urljoin(answer.url, answer.headers["Location"])
        began = time.monotonic()
        while True:
            answer = self._follow("GET", where)
            self.polls += 1
            if answer.headers.get("X-Pending") != "true":
                break
            if answer.status_code != 200:
                raise Refused(answer.status_code, answer.text.strip())
            if time.monotonic() - began > self.patience:
                raise Refused(0, f"{method} {path} has not ended after {self.patience} s")
            time.sleep(POLL_DELAY)
        if answer.status_code != expect:
            raise Refused(answer.status_code, answer.text.strip())
        return answer.json() if answer.content else None

    def close(self):
        for session in self._left_open:
            session.close()

    # The calls that the command line and the provisioners make.
    def cluster_list(self): return self.call("GET", "/clusters")["clusters"]
    def cluster_info(self, cluster): return self.call("GET", f"/clusters/{cluster}")
    def cluster_create(self, file, block): return self.call("POST", "/clusters", {"block": block, "file": file}, 201)
    def cluster_delete(self, cluster): return self.call("DELETE", f"/clusters/{cluster}")
    def node_info(self, node): return self.call("GET", f"/nodes/{node}")
    def node_add(self, request): return self.job("POST", "/nodes", request)
    def node_delete(self, node): return self.job("DELETE", f"/nodes/{node}", expect=204)
    def node_state(self, node, state): return self.job("POST", f"/nodes/{node}/state", {"state": state, "healcheck": ""}, 204)
    def device_info(self, device): return self.call("GET", f"/devices/{device}")
    def device_add(self, request): return self.job("POST", "/devices", request, 204)
    def device_state(self, device, state): return self.job("POST", f"/devices/{device}/state", {"state": state, "healcheck": ""}, 204)
    def device_resync(self, device): return self.job("GET", f"/devices/{device}/resync", expect=204)
    def device_delete(self, device): return self.job("DELETE", f"/devices/{device}", {"forceforget": False}, 204, None)
    def volume_list(self): return self.call("GET", "/volumes")["volumes"]
    def volume_info(self, volume): return self.call("GET", f"/volumes/{volume}")
    def volume_create(self, request): return self.job("POST", "/volumes", request)
    def volume_expand(self, volume, size): return self.job("POST", f"/volumes/{volume}/expand", {"expand_size": size})
    def volume_delete(self, volume): return self.job("DELETE", f"/volumes/{volume}", expect=204)


def load_topology(client, topology, say):
    """As `heketi-cli topology load` does: adds what is not there, and goes on after failures. Gives the cluster ids."""
    known = {}
    for cluster in client.cluster_list():
        for node in client.cluster_info(cluster)["nodes"]:
            info = client.node_info(node)
            known[info["hostnames"]["manage"][0]] = info
    clusters = []
    for wanted in topology["clusters"]:
        current = None
        for entry in wanted["nodes"]:
            host = entry["node"]["hostnames"]["manage"][0]
            info = known.get(host)
            if info:
                say(f"Found node {host} on cluster {info['cluster']}")
                current = info["cluster"]
            else:
                current = current or client.cluster_create(wanted.get("file", True), wanted.get("block", True))["id"]
                say(f"Creating node {host}")
                info = client.node_add({**entry["node"], "cluster": current})
            there = {device["name"] for device in info["devices"]}
            for device in entry["devices"]:
                request = {"name": device} if isinstance(device, str) else dict(device)
                if request["name"] not in there:
                    say(f"Adding device {request['name']}")
                    client.device_add({**request, "node": info["id"]})
            if current not in clusters:
                clusters.append(current)
    return clusters
