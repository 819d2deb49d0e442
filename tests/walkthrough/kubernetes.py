"""What the provisioner in Kubernetes (up to 1.25) does with the server: which calls, with which bodies, and what it needs
of the answers. Parameters are those of a StorageClass."""
import ipaddress

from go_client import GoClient


class NotProvisioned(Exception):
    pass


class Provisioner:
    def __init__(self, url, user, key, volumetype="replicate:3", clusterid=None, volumeoptions=None, snapfactor=1.0, prefix=None):
        # A new client for each call, as Kubernetes has it; they share what is left open.
        self.client = GoClient(url, user, key)
        self.volumetype, self.clusters, self.options = volumetype, clusterid, volumeoptions
        self.snapfactor, self.prefix = snapfactor, prefix

    def _durability(self):
        kind, *numbers = self.volumetype.split(":")
        durability = {"type": kind, "replicate": {}, "disperse": {}}
        if kind == "replicate":
            durability["replicate"] = {"replica": int(numbers[0]) if numbers else 3}
        elif kind == "disperse":
            durability["disperse"] = {"data": int(numbers[0]), "redundancy": int(numbers[1])}
        return durability

    def provision(self, size, gid, claim="ns_claim_0000"):
        request = {"size": size}
        if self.clusters:
            request["clusters"] = self.clusters.split(",")
        request.update(name=f"{self.prefix}_{claim}" if self.prefix else "", durability=self._durability(), gid=gid)
        if self.options:
            request["glustervolumeoptions"] = [option.strip() for option in self.options.split(",")]
        factor = int(self.snapfactor) if self.snapfactor == int(self.snapfactor) else self.snapfactor
        request["snapshot"] = {"enable": True, "factor": factor}
        volume = self.client.volume_create(request)
        if not volume["id"] or not volume["name"]:
            raise NotProvisioned("the volume has no id or no name")
        return volume, self._endpoints(volume["cluster"])

    def _endpoints(self, cluster):
        """The addresses of the Endpoints object. Names are no addresses: Kubernetes refuses them."""
        nodes = self.client.cluster_info(cluster)["nodes"]
        addresses = ["".join(self.client.node_info(node)["hostnames"]["storage"]) for node in nodes]
        if not addresses:
            raise NotProvisioned("the cluster has no nodes")
        for address in addresses:
            ipaddress.ip_address(address)
        return addresses

    def delete(self, volume):
        self.client.volume_delete(volume)

    def expand(self, volume, size):
        """To a size, by what is missing. Gives the new size."""
        there = self.client.volume_info(volume)["size"]
        if there >= size:
            return there
        return self.client.volume_expand(volume, size - there)["size"]
