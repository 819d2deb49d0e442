//! What `gluster --xml` prints.

use std::fmt::Write as _;

use super::gluster::{Brick, Member, Status, Volume};
use std::collections::HashMap;

/// `text` as it stands in an element or an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// One element with a text.
pub(super) fn element(name: &str, text: &str) -> String {
    if text.is_empty() { format!("<{name}/>") } else { format!("<{name}>{}</{name}>", escape(text)) }
}

/// The whole answer.
pub(super) fn document(ret: i32, errno: i32, errstr: &str, inner: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<cliOutput>\n<opRet>{ret}</opRet>\n\
         <opErrno>{errno}</opErrno>\n{}\n{inner}</cliOutput>\n",
        element("opErrstr", errstr)
    )
}

fn uuid_of<'a>(members: &'a HashMap<String, Member>, brick: &Brick) -> &'a str {
    members.get(&*brick.node).map_or("", |member| member.uuid.as_str())
}

/// `volInfo`.
pub(super) fn vol_info<'a>(volumes: impl Iterator<Item = &'a Volume>, members: &HashMap<String, Member>) -> String {
    let mut xml = String::from("<volInfo>\n<volumes>\n");
    let mut count = 0;
    for volume in volumes {
        count += 1;
        one_volume(volume, members, &mut xml);
    }
    let _ = write!(xml, "<count>{count}</count>\n</volumes>\n</volInfo>\n");
    xml
}

fn one_volume(volume: &Volume, members: &HashMap<String, Member>, xml: &mut String) {
    let (number, name) = volume.kind();
    let status = match volume.status {
        Status::Created => 0,
        Status::Started => 1,
        Status::Stopped => 2,
    };
    let _ = write!(
        xml,
        "<volume>\n{}\n<id>{}</id>\n<status>{status}</status>\n<statusStr>{}</statusStr>\n<snapshotCount>{}</snapshotCount>\n\
         <brickCount>{}</brickCount>\n<distCount>{}</distCount>\n<stripeCount>1</stripeCount>\n\
         <replicaCount>{}</replicaCount>\n<arbiterCount>{}</arbiterCount>\n<disperseCount>{}</disperseCount>\n\
         <redundancyCount>{}</redundancyCount>\n<type>{number}</type>\n<typeStr>{name}</typeStr>\n\
         <transport>0</transport>\n<bricks>\n",
        element("name", &volume.name),
        volume.id,
        volume.status.name(),
        volume.snapshots,
        volume.bricks.len(),
        volume.set_size(),
        volume.replica,
        volume.arbiter,
        volume.disperse,
        volume.redundancy,
    );
    for (i, brick) in volume.bricks.iter().enumerate() {
        let uuid = uuid_of(members, brick);
        let name = escape(&brick.name());
        let _ = writeln!(
            xml,
            "<brick uuid=\"{uuid}\">{name}<name>{name}</name><hostUuid>{uuid}</hostUuid><isArbiter>{}</isArbiter></brick>",
            u8::from(volume.is_arbiter(i))
        );
    }
    let _ = write!(xml, "</bricks>\n<optCount>{}</optCount>\n<options>\n", volume.options.len());
    for (name, value) in volume.options.iter() {
        let _ = writeln!(xml, "<option>\n{}\n{}\n</option>", element("name", &name), element("value", &value));
    }
    xml.push_str("</options>\n</volume>\n");
}

/// `healInfo`: each brick with the entries that wait for healing, or `None` if its process is not reached.
pub(super) fn heal_info<'a>(
    bricks: impl Iterator<Item = (&'a Brick, Option<u64>)>,
    members: &HashMap<String, Member>,
) -> String {
    let mut xml = String::from("<healInfo>\n<bricks>\n");
    for (brick, entries) in bricks {
        let (uuid, status, number) = match entries {
            Some(entries) => (uuid_of(members, brick), "Connected", entries.to_string()),
            None => ("-", "Transport endpoint is not connected", "-".to_owned()),
        };
        let _ = write!(
            xml,
            "<brick hostUuid=\"{uuid}\">\n{}\n<status>{status}</status>\n<numberOfEntries>{number}</numberOfEntries>\n</brick>\n",
            element("name", &brick.name())
        );
    }
    xml.push_str("</bricks>\n</healInfo>\n");
    xml
}
