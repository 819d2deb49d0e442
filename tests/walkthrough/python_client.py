"""A client that behaves as the reference's Python client does: tokens of one second, a JSON body on every request, and
the texts of Location put after the address of the server. Nothing tells it that a job is pending but a header's presence."""
import datetime
import hashlib
import json
import time

import jwt
import requests


class PythonClient:
    def __init__(self, host, user, key, poll_delay=1):
        self.host, self.user, self.key, self.poll_delay = host, user, key, poll_delay

    def _authorization(self, method, uri):
        now = datetime.datetime.now(datetime.timezone.utc)
        claims = {
            "iss": self.user,
            "iat": now,
            "exp": now + datetime.timedelta(seconds=1),
            "qsh": hashlib.sha256(f"{method}&{uri}".encode()).hexdigest(),
        }
        return {"Authorization": "bearer " + jwt.encode(claims, self.key, algorithm="HS256")}

    def _once(self, method, uri, data):
        return requests.request(
            method, self.host + uri, headers=self._authorization(method, uri), data=json.dumps(data), allow_redirects=False
        )

    def request(self, method, uri, data=None):
        answer = self._once(method, uri, data or {})
        answer.raise_for_status()
        if answer.status_code != requests.codes.accepted:
            return answer
        uri = answer.headers["location"]
        while True:
            answer = self._once("GET", uri, {})
            answer.raise_for_status()
            if "X-Pending" not in answer.headers:
                break
            time.sleep(self.poll_delay)
        if answer.status_code == requests.codes.see_other:
            answer = self._once("GET", answer.headers["location"], {})
            answer.raise_for_status()
        return answer

    def _json(self, method, uri, data=None, expect=200):
        answer = self.request(method, uri, data)
        return answer.json() if answer.status_code == expect else None

    def _true(self, method, uri, data=None, expect=204):
        return self.request(method, uri, data).status_code == expect

    def hello(self): return self.request("GET", "/hello").status_code == requests.codes.ok
    def cluster_create(self, options): return self._json("POST", "/clusters", options, 201)
    def cluster_info(self, cluster): return self._json("GET", f"/clusters/{cluster}")
    def cluster_list(self): return self._json("GET", "/clusters")
    def cluster_setflags(self, cluster, options): return self._true("POST", f"/clusters/{cluster}/flags", options, 200)
    def cluster_delete(self, cluster): return self._true("DELETE", f"/clusters/{cluster}", expect=200)
    def node_info(self, node): return self._json("GET", f"/nodes/{node}")
    def node_state(self, node, state): return self._true("POST", f"/nodes/{node}/state", state)
    def node_set_tags(self, node, tags): return self._json("POST", f"/nodes/{node}/tags", tags)
    def node_delete(self, node): return self._true("DELETE", f"/nodes/{node}")
    def device_info(self, device): return self._json("GET", f"/devices/{device}")
    def device_state(self, device, state): return self._true("POST", f"/devices/{device}/state", state)
    def device_resync(self, device): return self._true("GET", f"/devices/{device}/resync")
    def device_delete(self, device): return self._true("DELETE", f"/devices/{device}")
    def volume_create(self, options): return self._json("POST", "/volumes", options)
    def volume_list(self): return self._json("GET", "/volumes")
    def volume_info(self, volume): return self._json("GET", f"/volumes/{volume}")
    def volume_expand(self, volume, options): return self._json("POST", f"/volumes/{volume}/expand", options)
    def volume_delete(self, volume): return self._true("DELETE", f"/volumes/{volume}")
