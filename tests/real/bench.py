"""What the real suite and the benchmark stand on: storage nodes by ssh, and a heketi server by its REST API.

Runs inside the nodes' network (`nodes with N ...`). Python 3.11, standard library only.
"""
import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.realpath(__file__))
NODES = os.path.join(HERE, "nodes")
GLUSTER = "gluster --mode=script "
ADMIN_KEY, USER_KEY = "admin of the real suite", "user of the real suite"


class Failed(Exception):
    """A check did not hold."""


def check(holds, text):
    if not holds:
        raise Failed(text)


def wait_for(what, limit, condition):
    """Returns what `condition` returns once that is true; fails after `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        result = condition()
        if result:
            return result
        check(time.monotonic() < end, f"not within {limit} s: {what}")
        time.sleep(0.1)


def nodes_command(*args):
    return subprocess.run([NODES, *args], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout


class Node:
    """A storage node, over one kept connection."""

    def __init__(self, number, address, devices, control):
        self.number, self.name, self.address, self.devices = number, f"node{number}", address, devices
        self.ssh = ["ssh", "-q", "-i", nodes_command("key").strip(), "-o", "IdentitiesOnly=yes",
                    "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=5",
                    "-o", "ServerAliveInterval=2", "-o", "ControlMaster=auto", "-o", "ControlPersist=600",
                    "-o", f"ControlPath={control}/{number}", f"root@{address}"]

    def run(self, command, check_status=True, limit=120):
        done = subprocess.run([*self.ssh, command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=limit)
        if check_status and done.returncode != 0:
            raise Failed(f"{self.name}: [{command}] exits with {done.returncode}: {done.stdout}{done.stderr}".strip())
        return done.stdout

    def gluster(self, command):
        return self.run(GLUSTER + command)

    def close(self):
        subprocess.run([*self.ssh, "-O", "exit"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    def holds(self):
        """All that a server has made on the node, one line each. Nothing on a node that is clean."""
        held = set(self.run(
            "lvs --noheadings -o vg_name,lv_name | awk '{print \"lv \" $1 \"/\" $2}';"
            "vgs --noheadings -o vg_name | awk '{print \"vg \" $1}';"
            "pvs --noheadings -o pv_name | awk '{print \"pv \" $1}';"
            "awk '$2 ~ /heketi/ {print \"mount \" $2}' /proc/mounts;"
            "grep -v '^#' /etc/fstab | sed 's/^/fstab /';"
            "ls -d /dev/mapper/vg_* 2>/dev/null | sed 's/^/dm /';"
            "find /var/lib/heketi/mounts -mindepth 1 -maxdepth 3 2>/dev/null | sed 's/^/folder /';"
            f"{GLUSTER} volume list 2>/dev/null | sed 's/^/volume /';"
            f"{GLUSTER} pool list | awk 'NR > 1 && $2 != \"localhost\" {{print \"peer \" $2}}'").splitlines())
        # The folder of a device's mounts goes with the device.
        groups = {line.split()[1] for line in held if line.startswith("vg ")}
        return {line for line in held
                if not (line.startswith("folder ") and line.removeprefix("folder /var/lib/heketi/mounts/") in groups)}


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, status, text):
        super().__init__(f"{status} {text}")
        self.status, self.text = status, text


def token(method, path, user="admin", key=ADMIN_KEY):
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    now = int(time.time())
    claims = {"iss": user, "iat": now, "exp": now + 600,
              "qsh": hashlib.sha256(f"{method}&{path}".encode()).hexdigest()}
    text = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (text + b"." + part(hmac.new(key.encode(), text, hashlib.sha256).digest())).decode()


class Stay(urllib.request.HTTPRedirectHandler):
    """303 is an answer here: its target needs a token of its own."""

    def redirect_request(self, *_):
        return None


class Server:
    """A heketi server with its own folder, and the client to it."""

    def __init__(self, binary, folder, port=18080, **ssh):
        self.binary, self.folder, self.port = binary, folder, port
        self.process = None
        os.makedirs(folder, exist_ok=True)
        self.config = {
            "port": str(port), "use_auth": True,
            "jwt": {"admin": {"key": ADMIN_KEY}, "user": {"key": USER_KEY}},
            "glusterfs": {
                "executor": "ssh", "db": f"{folder}/heketi.db", "loglevel": "debug",
                "sshexec": {"keyfile": nodes_command("key").strip(), "user": "root", "port": "22",
                            "fstab": "/etc/fstab", **ssh},
                # Soon after each start, so that recovery need not be waited for.
                "start_time_background_cleaner": 1, "refresh_time_background_cleaner": 5,
            },
        }
        self.opener = urllib.request.build_opener(Stay, urllib.request.ProxyHandler({}))

    @property
    def log(self):
        return os.path.join(self.folder, "server.log")

    def start(self):
        path = os.path.join(self.folder, "heketi.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.config, file, indent=2)
        with open(self.log, "a", encoding="utf-8") as log:
            env = {name: value for name, value in os.environ.items() if not name.startswith(("HEKETI_", "SSH_KNOWN"))}
            self.process = subprocess.Popen([self.binary, f"--config={path}"], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=env)
        wait_for("the server says hello", 20, self.says_hello)

    def says_hello(self):
        check(self.process.poll() is None, f"the server ended with {self.process.poll()}")
        try:
            return self.opener.open(f"http://127.0.0.1:{self.port}/hello", timeout=5).read() == b"Hello from Heketi"
        except OSError:
            return False

    def stop(self, how=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def send(self, method, path, body=None, **who):
        """One exchange: status, headers and body."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode())
        request.add_header("Authorization", "bearer " + token(method, path, **who))
        try:
            with self.opener.open(request, timeout=60) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.headers, answer.read().decode()

    def call(self, method, path, body=None, limit=300):
        """A request brought to its end: the queue is asked until the job is done."""
        status, headers, text = self.send(method, path, body)
        if status == 202:
            location = headers["Location"]
            end = time.monotonic() + limit
            status, headers, text = self.send("GET", location)
            while status == 200 and headers["X-Pending"] == "true":
                check(time.monotonic() < end, f"{method} {path} is still pending after {limit} s")
                time.sleep(0.05)
                status, headers, text = self.send("GET", location)
            if status == 303:
                status, headers, text = self.send("GET", headers["Location"])
        if status >= 400:
            raise Refused(status, text.strip())
        return json.loads(text) if text else None

    def get(self, path):
        return self.call("GET", path)

    def load(self, topology):
        """What `heketi-cli topology load` does for one new cluster. Returns its id."""
        cluster = self.call("POST", "/clusters", {"file": True, "block": True})["id"]
        for entry in topology["nodes"]:
            node = self.call("POST", "/nodes", {**entry["node"], "cluster": cluster})
            for device in entry["devices"]:
                self.call("POST", "/devices", {**device, "node": node["id"]})
        return cluster

    def unload(self, cluster):
        """Takes all devices and nodes of a cluster, and the cluster, away again."""
        for node in self.get(f"/clusters/{cluster}")["nodes"]:
            for device in self.get(f"/nodes/{node}")["devices"]:
                for state in ("offline", "failed"):
                    self.call("POST", f"/devices/{device['id']}/state", {"state": state})
                self.call("DELETE", f"/devices/{device['id']}")
            self.call("DELETE", f"/nodes/{node}")
        self.call("DELETE", f"/clusters/{cluster}")

    def space(self, cluster):
        """Used KiB of each device."""
        return {device["id"]: device["storage"]["used"]
                for node in self.get(f"/clusters/{cluster}")["nodes"]
                for device in self.get(f"/nodes/{node}")["devices"]}


def all_nodes(control):
    """The nodes that run, and the cluster of their topology."""
    topology = json.loads(nodes_command("topology"))["clusters"][0]
    nodes = [Node(i, entry["node"]["hostnames"]["manage"][0], [device["name"] for device in entry["devices"]], control)
             for i, entry in enumerate(topology["nodes"], 1)]
    return nodes, topology
