-- Another number whenever a node of the cluster changes, or a device of it other than in what is free: what was read at
-- one number need not be read again. It is drawn, not counted, so that a change that is undone leaves no number behind
-- that another change could take.
ALTER TABLE clusters ADD COLUMN nodes_version INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER node_added AFTER INSERT ON nodes BEGIN
    UPDATE clusters SET nodes_version = random() WHERE id = new.cluster;
END;
CREATE TRIGGER node_removed AFTER DELETE ON nodes BEGIN
    UPDATE clusters SET nodes_version = random() WHERE id = old.cluster;
END;
CREATE TRIGGER node_changed AFTER UPDATE ON nodes BEGIN
    UPDATE clusters SET nodes_version = random() WHERE id IN (old.cluster, new.cluster);
END;
CREATE TRIGGER device_added AFTER INSERT ON devices BEGIN
    UPDATE clusters SET nodes_version = random() WHERE id = (SELECT cluster FROM nodes WHERE id = new.node);
END;
CREATE TRIGGER device_removed AFTER DELETE ON devices BEGIN
    UPDATE clusters SET nodes_version = random() WHERE id = (SELECT cluster FROM nodes WHERE id = old.node);
END;
CREATE TRIGGER device_changed AFTER UPDATE OF id, node, name, state, tags, total, extent, pv_uuid, paths, pending ON devices
BEGIN
    UPDATE clusters SET nodes_version = random() WHERE id IN (SELECT cluster FROM nodes WHERE id IN (old.node, new.node));
END;

-- What is free of each device of a node, without a look at the devices themselves.
DROP INDEX devices_by_node;
CREATE INDEX devices_by_node ON devices (node, id, pending, free);
