//! Gluster's `--xml` answers (spec-ops.md 6.8): only what we use is read, all else is skipped.

use serde::Deserialize;

/// `cliOutput` of any command, with the parts of `volume info`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CliOutput {
    /// 0 is success.
    #[serde(default)]
    pub op_ret: i64,
    /// Why not.
    #[serde(default)]
    pub op_errstr: String,
    /// Of `volume info`.
    #[serde(default)]
    pub vol_info: VolInfo,
}

/// The list around the volumes.
#[derive(Debug, Default, Deserialize)]
pub struct VolInfo {
    /// The list.
    #[serde(default)]
    pub volumes: Volumes,
}

/// The volumes.
#[derive(Debug, Default, Deserialize)]
pub struct Volumes {
    /// Each volume.
    #[serde(default)]
    pub volume: Vec<XmlVolume>,
}

/// One volume.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct XmlVolume {
    /// Its name.
    pub name: String,
    /// `Created`, `Started` or `Stopped`.
    #[serde(default)]
    pub status_str: String,
    /// The list around the bricks.
    #[serde(default)]
    pub bricks: Bricks,
}

/// The bricks, in gluster's order.
#[derive(Debug, Default, Deserialize)]
pub struct Bricks {
    /// Each brick.
    #[serde(default)]
    pub brick: Vec<XmlBrick>,
}

/// One brick.
#[derive(Debug, Deserialize)]
pub struct XmlBrick {
    /// `host:path`.
    #[serde(default)]
    pub name: String,
}

/// Reads an answer.
pub fn read(text: &str) -> Result<CliOutput, String> {
    quick_xml::de::from_str(text).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn volume_info() {
        let text = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<cliOutput><opRet>0</opRet><opErrno>0</opErrno><opErrstr/><volInfo><volumes><volume><name>v</name><id>x-y</id>
<status>1</status><statusStr>Started</statusStr><bricks>
<brick uuid="u">h1:/b<name>h1:/b</name><hostUuid>u</hostUuid><isArbiter>0</isArbiter></brick>
<brick uuid="w">h2:/b<name>h2:/b</name><hostUuid>w</hostUuid><isArbiter>0</isArbiter></brick>
</bricks><options><option><name>o</name><value>1</value></option></options></volume><count>1</count></volumes></volInfo></cliOutput>"#;
        let read = super::read(text).unwrap();
        let volume = &read.vol_info.volumes.volume[0];
        assert_eq!(volume.status_str, "Started");
        let names: Vec<_> = volume.bricks.brick.iter().map(|brick| brick.name.as_str()).collect();
        assert_eq!(names, ["h1:/b", "h2:/b"]);
    }

    #[test]
    fn a_refusal() {
        let text = "<cliOutput><opRet>-1</opRet><opErrno>30800</opErrno><opErrstr>Volume v does not exist</opErrstr></cliOutput>";
        let read = super::read(text).unwrap();
        assert_eq!((read.op_ret, read.op_errstr.as_str()), (-1, "Volume v does not exist"));
    }
}
