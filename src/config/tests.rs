use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::exec::SshSettings;
use crate::units::{Gib, Kib};

struct Loaded {
    config: Config,
    notes: Vec<Note>,
}

impl Loaded {
    fn texts(&self, level: LogLevel) -> Vec<&str> {
        self.notes.iter().filter(|note| note.level == level).map(|note| note.text.as_str()).collect()
    }

    fn infos(&self) -> Vec<&str> {
        self.texts(LogLevel::Info)
    }

    fn warnings(&self) -> Vec<&str> {
        self.texts(LogLevel::Warning)
    }
}

fn load_with(text: &str, env: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let env: HashMap<_, _> = env.iter().copied().collect();
    let (config, notes) = Config::read(text, &|name| env.get(name).map(|text| (*text).to_owned()))?;
    Ok(Loaded { config, notes })
}

fn load(text: &str) -> Result<Loaded, ConfigError> {
    load_with(text, &[])
}

fn app(body: &str, env: &[(&str, &str)]) -> Loaded {
    load_with(&format!(r#"{{"glusterfs": {{"executor": "mock", {body} "_": 0}}}}"#), env).unwrap()
}

fn error(text: &str) -> String {
    load(text).err().unwrap().to_string()
}

fn ssh(config: &Config) -> &SshSettings {
    match &config.executor {
        Executor::Ssh(settings) => settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults_are_the_references() {
    let loaded = app("", &[]);
    let config = &loaded.config;
    assert_eq!(config.port, "");
    assert_eq!(config.db, PathBuf::from("heketi.db"));
    assert_eq!(config.limits.brick_min, Kib(1_048_576));
    assert_eq!(config.limits.brick_max, Kib(4_294_967_296));
    assert_eq!(config.limits.max_bricks_per_volume, 32);
    assert_eq!(config.limits.average_file_size, Kib(64));
    assert_eq!(config.limits.zone_checking, "none");
    assert_eq!(config.max_volumes_per_cluster, Some(1000));
    assert_eq!(config.max_inflight_operations, Some(8));
    assert_eq!(config.volume_create_retries, 4);
    assert_eq!(config.health_monitor.refresh.as_secs(), 120);
    assert_eq!(config.health_monitor.start.as_secs(), 10);
    assert!(config.health_monitor.enabled && config.cleaner.enabled);
    assert_eq!(config.cleaner.refresh.as_secs(), 3600);
    assert_eq!(config.cleaner.start.as_secs(), 0);
    assert_eq!(config.commands, CommandSettings::default());
    assert_eq!(config.block.hosting_volume_size, Gib(1024));
    assert_eq!(config.block.hosting_volume_options, ["group gluster-block"]);
    assert_eq!(config.block.prealloc, "full");
    assert!(!config.block.auto_create_hosting_volume);
    assert_eq!(config.executor, Executor::Mock { device_size: Gib(500) });
    assert_eq!(config.log_level, LogLevel::Info);
    assert!(config.auth_enabled && !config.profiling && !config.db_read_only);
    assert_eq!(config.jwt.iat_leeway, 120);
    assert_eq!(config.default_state, DefaultState::Normal);
    assert!(config.tls.is_none());
    assert_eq!(loaded.infos(), ["Volumes per cluster limit is set to default value of 1000"]);
    assert!(loaded.warnings().is_empty());
}

#[test]
fn keys_match_in_any_case_and_junk_is_ignored() {
    let loaded = load(
        r#"{"PORT": "8080", "_port": 1, "hosts": [1], "port": null,
            "GlusterFS": {"Executor": "mock", "DB": "/x/y.db", "_db": [], "injectexec": 7, "loglevel": null}} trailing"#,
    )
    .unwrap();
    assert_eq!(loaded.config.port, "8080");
    assert_eq!(loaded.config.db, PathBuf::from("/x/y.db"));
}

#[test]
fn mistakes_are_told_in_one_clear_line() {
    let table = [
        ("", "Unable to parse configuration: EOF"),
        (
            r#"{"port": 8080, "glusterfs": {}}"#,
            "Unable to parse configuration: port: expected a string, found the number 8080",
        ),
        ("{}", "Unable to parse configuration: the object glusterfs is missing"),
        ("null", "Unable to parse configuration: the object glusterfs is missing"),
        ("[]", "Unable to parse configuration: the file: expected an object, found a list"),
        (
            r#"{"jwt": {"admin": {"key": ["sesame"]}}, "glusterfs": {}}"#,
            "Unable to parse configuration: jwt.admin.key: expected a string, found a list",
        ),
        (
            r#"{"glusterfs": {"executor": "mock", "sshexec": {"xfs_sw": "10"}}}"#,
            "Unable to parse configuration: glusterfs.sshexec.xfs_sw: expected a whole number, found a string",
        ),
        (
            r#"{"glusterfs": {"executor": "mock", "brick_min_size_gb": 1.5}}"#,
            "Unable to parse configuration: glusterfs.brick_min_size_gb: expected a whole number that is not \
             negative, found the number 1.5",
        ),
        (
            r#"{"glusterfs": {"executor": "mock", "refresh_time_background_cleaner": 4294967296}}"#,
            "Unable to parse configuration: glusterfs.refresh_time_background_cleaner: expected a whole number from \
             0 to 4294967295, found the number 4294967296",
        ),
        (
            r#"{"glusterfs": {"executor": "mock", "db_read_only": "true"}}"#,
            "Unable to parse configuration: glusterfs.db_read_only: expected true or false, found a string",
        ),
        (r#"{"glusterfs": {"executor": "no\nsuch"}}"#, "Unable to start application: invalid executor: no?such"),
        (
            r#"{"glusterfs": {"executor": "kubernetes"}}"#,
            "Unable to start application: executor kubernetes is not supported: use ssh or mock",
        ),
        (
            r#"{"glusterfs": {"executor": "mock", "max_inflight_operations": -1}}"#,
            "Unable to parse configuration: glusterfs.max_inflight_operations: expected a whole number that is not \
             negative, found the number -1",
        ),
        (r#"{"glusterfs": {}}"#, "Unable to start application: Missing ssh private key file in configuration"),
        (
            r#"{"glusterfs": {"sshexec": {"keyfile": "/k", "port": "ssh"}}}"#,
            "Unable to start application: invalid ssh port: 'ssh' is not a number from 1 to 65535",
        ),
        (
            r#"{"default_state": "asleep", "glusterfs": {"executor": "mock"}}"#,
            "unable to set admin state: unknown admin state name: asleep",
        ),
        (
            r#"{"enable_tls": true, "cert_file": "/c", "glusterfs": {"executor": "mock"}}"#,
            "enable_tls needs both cert_file and key_file",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(error(text), expected, "{text}");
    }
    assert_eq!(
        error("{// no\n}"),
        "Unable to parse configuration: invalid character '/' looking for beginning of object key string"
    );
}

#[test]
fn prose_in_stripe_keys_is_forgiven() {
    let loaded = app(r#""sshexec": {"xfs_sw": "Optional: Stripe width", "xfs_su": 4},"#, &[]);
    assert_eq!(loaded.config.commands.xfs_stripe, None);
    assert_eq!(
        loaded.warnings(),
        ["glusterfs.sshexec.xfs_sw holds text where a whole number is expected; taken as not set"]
    );
    let loaded = app(r#""sshexec": {"xfs_sw": 10, "xfs_su": 4},"#, &[]);
    assert_eq!(loaded.config.commands.xfs_stripe, Some((10, 4)));
}

#[test]
fn settings_of_the_file_are_noted() {
    let loaded = app(
        r#""max_bricks_per_volume": 9, "brick_max_size_gb": 10, "brick_min_size_gb": 2, "average_file_size_kb": 8,
           "pre_request_volume_options": "a b,c d", "zone_checking": "strict", "max_volumes_per_cluster": -1,
           "auto_create_block_hosting_volume": true, "block_hosting_volume_size": 50,"#,
        &[],
    );
    assert_eq!(
        loaded.infos(),
        [
            "Adv: Max bricks per volume set to 9",
            "Adv: Max brick size 10 GB",
            "Adv: Min brick size 2 GB",
            "Average file size on volumes set to 8 KiB",
            "Zone checking: 'strict'",
            "Pre Request Volume Options: a b,c d",
            "Volumes per cluster limit is removed as it is set to -1",
            "Block: Auto Create Block Hosting Volume set to true",
            "Block: New Block Hosting Volume size 50 GB",
        ]
    );
    let config = loaded.config;
    assert_eq!(config.limits.brick_max, Gib(10).to_kib());
    assert_eq!(config.limits.zone_checking, "strict");
    assert_eq!(config.max_volumes_per_cluster, None);
    assert_eq!(config.pre_request_volume_options, ["a b", "c d"]);
}

#[test]
fn environment_beats_the_file() {
    let text = r#"{"port": "1", "jwt": {"admin": {"key": "a"}, "user": {"key": "u"}}, "glusterfs": {"executor": "mock",
        "db": "f.db", "sshexec": {"keyfile": "/f", "user": "f", "port": "1", "fstab": "/f", "snapshot_limit": 3}}}"#;
    let loaded = load_with(
        text,
        &[
            ("HEKETI_HTTP_PORT", "2"),
            ("HEKETI_ADMIN_KEY", "A"),
            ("HEKETI_USER_KEY", ""),
            ("HEKETI_PROFILING", "x"),
            ("HEKETI_DEFAULT_STATE", "read-only"),
            ("HEKETI_DB_PATH", "/d/e.db"),
            ("HEKETI_EXECUTOR", "ssh"),
            ("HEKETI_GLUSTERAPP_LOGLEVEL", "debug"),
            ("HEKETI_PRE_REQUEST_VOLUME_OPTIONS", "x 1"),
            ("HEKETI_POST_REQUEST_VOLUME_OPTIONS", "y 2"),
            ("HEKETI_ZONE_CHECKING", "strict"),
            ("HEKETI_GLUSTER_MAX_VOLUMES_PER_CLUSTER", "7"),
            ("HEKETI_AUTO_CREATE_BLOCK_HOSTING_VOLUME", "T"),
            ("HEKETI_BLOCK_HOSTING_VOLUME_SIZE", "5"),
            ("HEKETI_BLOCK_HOSTING_VOLUME_OPTIONS", "z 3"),
            ("HEKETI_DISABLE_HEALTH_MONITOR", "true"),
            ("HEKETI_DISABLE_BACKGROUND_CLEANER", "True"),
            ("HEKETI_MAX_INFLIGHT_OPERATIONS", "-1"),
            ("HEKETI_FSTAB", "/e"),
            ("HEKETI_MOUNT_OPTS", "ro"),
            ("HEKETI_SNAPSHOT_LIMIT", "zz"),
            ("HEKETI_GLUSTERAPP_REBALANCE_ON_EXPANSION", "0"),
            ("HEKETI_GLUSTER_CLI_TIMEOUT", "42"),
            ("HEKETI_DEBUG_UMOUNT_FAILURES", "1"),
            ("HEKETI_BLOCK_VOLUME_DEFAULT_PREALLOC", "no"),
            ("HEKETI_LVM_WRAPPER", "/w"),
            ("HEKETI_SSH_KEYFILE", "/k"),
            ("HEKETI_SSH_USER", "root"),
            ("HEKETI_SSH_PORT", "2222"),
            ("SSH_KNOWN_HOSTS", "/a::/b"),
            ("HEKETI_JWT_IAT_LEEWAY_SECONDS", "0"),
        ],
    )
    .unwrap();
    assert!(loaded.warnings().is_empty(), "{:?}", loaded.notes);
    let config = loaded.config;
    assert_eq!(config.port, "2");
    assert_eq!(config.jwt.admin_key.as_bytes(), b"A");
    assert_eq!(config.jwt.user_key.as_bytes(), b"u");
    assert!(config.profiling && config.jwt.keys_in_file);
    assert_eq!(config.default_state, DefaultState::ReadOnly);
    assert_eq!(config.log_level, LogLevel::Debug);
    assert_eq!(config.pre_request_volume_options, ["x 1"]);
    assert_eq!(config.post_request_volume_options, ["y 2"]);
    assert_eq!(config.limits.zone_checking, "strict");
    assert_eq!(config.max_volumes_per_cluster, Some(7));
    assert!(config.block.auto_create_hosting_volume);
    assert_eq!(config.block.hosting_volume_size, Gib(5));
    assert_eq!(config.block.hosting_volume_options, ["z 3"]);
    assert_eq!(config.block.prealloc, "no");
    assert!(!config.health_monitor.enabled && config.cleaner.enabled);
    assert_eq!(config.max_inflight_operations, None);
    assert_eq!(config.commands.fstab, "/e");
    assert_eq!(config.commands.mount_options, "ro");
    assert_eq!(config.commands.snapshot_limit, 3);
    assert!(!config.commands.rebalance_on_expansion);
    assert_eq!(config.commands.gluster_cli_timeout, 42);
    assert!(config.commands.debug_umount_failures);
    assert_eq!(config.commands.lvm_wrapper, "/w");
    assert_eq!(
        config.executor,
        Executor::Ssh(SshSettings {
            keyfile: "/k".into(),
            user: "root".to_owned(),
            port: 2222,
            sudo: false,
            known_hosts: vec!["/a".into(), "/b".into()],
            trust_file: "/d/heketi_known_hosts".into(),
        })
    );
    assert_eq!(config.jwt.iat_leeway, 0);
}

#[test]
fn bad_variables_are_reported_and_do_not_stop_the_start() {
    let loaded = app(
        r#""max_inflight_operations": 3, "max_volumes_per_cluster": 5, "auto_create_block_hosting_volume": true,
           "block_hosting_volume_size": 77, "zone_checking": "odd", "loglevel": "WARNING",
           "sshexec": {"block_prealloc": "a b"},"#,
        &[
            ("HEKETI_MAX_INFLIGHT_OPERATIONS", "zz"),
            ("HEKETI_GLUSTER_MAX_VOLUMES_PER_CLUSTER", "many"),
            ("HEKETI_AUTO_CREATE_BLOCK_HOSTING_VOLUME", "yes"),
            ("HEKETI_BLOCK_HOSTING_VOLUME_SIZE", "99999999999999999999"),
            ("HEKETI_JWT_IAT_LEEWAY_SECONDS", "+5"),
            ("HEKETI_GLUSTERAPP_REBALANCE_ON_EXPANSION", "maybe"),
            ("HEKETI_GLUSTER_CLI_TIMEOUT", "4294967296"),
            ("HEKETI_MOCK_DEVICE_SIZE_GB", "-9"),
            ("HEKETI_BACKUP_DB_TO_KUBE_SECRET", "false"),
        ],
    );
    let config = &loaded.config;
    assert_eq!(config.max_inflight_operations, Some(3));
    assert_eq!(config.max_volumes_per_cluster, Some(1000));
    assert!(!config.block.auto_create_hosting_volume);
    assert_eq!(config.block.hosting_volume_size, Gib(1024));
    assert_eq!(config.jwt.iat_leeway, 120);
    assert_eq!(config.limits.zone_checking, "none");
    assert_eq!(config.block.prealloc, "full");
    assert!(config.commands.rebalance_on_expansion);
    for expected in [
        r#"Error: While parsing HEKETI_MAX_INFLIGHT_OPERATIONS: strconv.ParseInt: parsing "zz": invalid syntax"#,
        r#"Error: While parsing HEKETI_BLOCK_HOSTING_VOLUME_SIZE: strconv.ParseInt: parsing "99999999999999999999": value out of range"#,
        r#"HEKETI_JWT_IAT_LEEWAY_SECONDS not valid: strconv.ParseUint: parsing "+5": invalid syntax, input string: +5, using default: 120"#,
        r#"Error: While parsing HEKETI_AUTO_CREATE_BLOCK_HOSTING_VOLUME: strconv.ParseBool: parsing "yes": invalid syntax"#,
        r#"Error: While parsing HEKETI_GLUSTER_CLI_TIMEOUT: strconv.ParseUint: parsing "4294967296": value out of range"#,
        "invalid log level: WARNING",
        "backup_db_to_kube_secret is not supported: no copies of the database are kept",
    ] {
        assert!(loaded.warnings().contains(&expected), "{expected} not in {:#?}", loaded.notes);
    }
    assert_eq!(config.commands.gluster_cli_timeout, 600);
    assert_eq!(config.executor, Executor::Mock { device_size: Gib(500) });
    assert_eq!(loaded.warnings().len(), 12, "{:#?}", loaded.notes);
}

#[test]
fn negative_and_zero_have_their_meanings() {
    let config = app(
        r#""max_inflight_operations": 0, "max_volumes_per_cluster": 0, "max_bricks_per_volume": 0,
           "operation_retry_limits": {"volume_create": -1}, "refresh_time_monitor_gluster_nodes": 0,
           "block_hosting_volume_size": -1,"#,
        &[("HEKETI_MOCK_DEVICE_SIZE_GB", "9")],
    )
    .config;
    assert_eq!(config.max_inflight_operations, Some(8));
    assert_eq!(config.max_volumes_per_cluster, Some(1000));
    assert_eq!(config.limits.max_bricks_per_volume, 32);
    assert_eq!(config.volume_create_retries, 4);
    assert_eq!(config.health_monitor.refresh.as_secs(), 120);
    assert_eq!(config.block.hosting_volume_size, Gib(1024));
    assert_eq!(config.executor, Executor::Mock { device_size: Gib(9) });
}

#[test]
fn host_keys_come_from_our_own_key_or_are_trusted_on_first_use() {
    let loaded = load(r#"{"glusterfs": {"sshexec": {"keyfile": "/k", "known_hosts": ["/a", "/b"]}}}"#).unwrap();
    assert_eq!(ssh(&loaded.config).known_hosts, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert!(!loaded.infos().iter().any(|note| note.contains("SSH_KNOWN_HOSTS")));
    let loaded = load(r#"{"glusterfs": {"db": "/d/h.db", "sshexec": {"keyfile": "/k", "sudo": true}}}"#).unwrap();
    let ssh = ssh(&loaded.config);
    assert!(ssh.known_hosts.is_empty() && ssh.sudo);
    assert_eq!((ssh.port, ssh.user.as_str()), (22, "heketi"));
    assert_eq!(
        loaded.infos().first(),
        Some(
            &"no SSH_KNOWN_HOSTS specified, trusting ssh host keys on first use and keeping them in \
              /d/heketi_known_hosts"
        )
    );
}

#[test]
fn tls_needs_its_flag() {
    let text = |enable: bool| {
        format!(
            r#"{{"enable_tls": {enable}, "cert_file": "/c", "key_file": "/k", "glusterfs": {{"executor": "mock"}}}}"#
        )
    };
    assert_eq!(load(&text(false)).unwrap().config.tls, None);
    let tls = TlsSettings { cert_file: "/c".into(), key_file: "/k".into() };
    assert_eq!(load(&text(true)).unwrap().config.tls, Some(tls));
}

#[test]
fn keys_are_never_shown_and_both_are_required() {
    let text = |user: &str| {
        format!(
            r#"{{"use_auth": false, "jwt": {{"admin": {{"key": "sesame"}}, "user": {{"key": "{user}"}}}},
                "glusterfs": {{"executor": "mock"}}}}"#
        )
    };
    let loaded = load(&text("sesame")).unwrap();
    assert!(!format!("{:?}", loaded.config).contains("sesame"));
    assert!(loaded.infos().contains(&"use_auth has no effect: authentication is on unless --disable-auth is given"));
    assert!(loaded.config.require_jwt_keys().is_ok());
    let mut config = load(&text("")).unwrap().config;
    let error = config.require_jwt_keys().unwrap_err().to_string();
    assert!(error.starts_with("Missing JWT information in config file"));
    config.auth_enabled = false;
    assert!(config.require_jwt_keys().is_ok());
}

#[test]
fn keys_from_the_environment_are_not_in_the_file() {
    let loaded = app("", &[("HEKETI_ADMIN_KEY", "a"), ("HEKETI_USER_KEY", "u")]);
    assert!(loaded.config.require_jwt_keys().is_ok());
    assert!(!loaded.config.jwt.keys_in_file);
}

fn junk() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,9}".prop_map(Into::into),
        Just(serde_json::json!([])),
        Just(serde_json::json!({})),
    ]
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_one_line(text in "(?s).{0,60}") {
        if let Err(error) = load(&text) {
            prop_assert!(!error.to_string().contains(char::is_control));
        }
    }

    #[test]
    fn any_value_is_a_configuration_or_one_line(
        (section, key) in prop::sample::select(vec![
            ("glusterfs", "brick_max_size_gb"),
            ("glusterfs", "brick_min_size_gb"),
            ("glusterfs", "db"),
            ("glusterfs", "max_bricks_per_volume"),
            ("glusterfs", "max_volumes_per_cluster"),
            ("glusterfs", "operation_retry_limits"),
            ("glusterfs", "zone_checking"),
            ("glusterfs", "executor"),
            ("sshexec", "known_hosts"),
            ("sshexec", "port"),
            ("sshexec", "xfs_sw"),
        ]),
        value in junk(),
        variable in ".{0,9}",
    ) {
        let mut file = serde_json::json!({"glusterfs": {"executor": "ssh", "sshexec": {"keyfile": "/k"}}});
        match section {
            "sshexec" => file["glusterfs"]["sshexec"][key] = value,
            _ => file[section][key] = value,
        }
        let env = |name: &str| (name == "HEKETI_BLOCK_HOSTING_VOLUME_SIZE").then(|| variable.clone());
        match Config::read(&file.to_string(), &env) {
            Ok((_, notes)) => prop_assert!(notes.iter().all(|note| !note.text.contains(char::is_control))),
            Err(error) => prop_assert!(!error.to_string().contains(char::is_control)),
        }
    }
}
