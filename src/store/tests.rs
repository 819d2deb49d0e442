//! The file, the writer and the readers.

use std::sync::Arc;

use super::{Store, StoreError};
use crate::ids::ClusterId;

fn add_one(tx: &super::Tx<'_>) -> Result<(), StoreError> {
    tx.connection.execute("INSERT INTO clusters (id, file, block) VALUES (?1, 1, 0)", [ClusterId::random()])?;
    Ok(())
}

fn count(store: &Store) -> i64 {
    store.read(|tx| Ok(tx.connection.query_row("SELECT count(*) FROM clusters", [], |row| row.get(0))?)).unwrap()
}

#[tokio::test]
async fn a_change_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heketi.db");
    let (store, created) = Store::open(&path).unwrap();
    assert!(created);
    store.write::<_, StoreError, _>(add_one).await.unwrap();
    drop(store);
    let (store, created) = Store::open(&path).unwrap();
    assert!(!created);
    assert_eq!(count(&store), 1);
}

#[tokio::test]
async fn a_failed_change_leaves_nothing_and_its_neighbours_stand() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(&folder.path().join("heketi.db")).unwrap().0);
    let tasks: Vec<_> = (0..40)
        .map(|i| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                store
                    .write(move |tx| {
                        add_one(tx)?;
                        if i % 4 == 0 { Err(StoreError::Closed) } else { Ok(()) }
                    })
                    .await
            })
        })
        .collect();
    let mut failed = 0;
    for task in tasks {
        failed += i32::from(task.await.unwrap().is_err());
    }
    assert_eq!(failed, 10);
    assert_eq!(count(&store), 30);
}

#[tokio::test]
async fn a_panicking_change_is_undone_and_the_writer_lives_on() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&folder.path().join("heketi.db")).unwrap();
    let result: Result<(), StoreError> = store
        .write(|tx| {
            add_one(tx)?;
            panic!("a bug")
        })
        .await;
    assert!(matches!(result, Err(StoreError::Panicked)));
    assert_eq!(count(&store), 0);
    store.write::<_, StoreError, _>(add_one).await.unwrap();
    assert_eq!(count(&store), 1);
}

#[test]
fn files_that_are_not_ours_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut bolt = vec![0; 4096];
    bolt[16..20].copy_from_slice(&[0xed, 0xda, 0x0c, 0xed]);
    for (content, expected) in [(bolt, "bolt database"), (b"{}".to_vec(), "not an SQLite"), (Vec::new(), "empty")] {
        let path = folder.path().join("heketi.db");
        std::fs::write(&path, &content).unwrap();
        let error = Store::open(&path).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), content);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing appears beside it");
    }
    let missing = Store::open(&folder.path().join("no/heketi.db")).err().unwrap();
    assert!(matches!(missing, StoreError::NoFolder(_)));
}

#[test]
fn a_newer_schema_and_another_programs_database_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let newer = folder.path().join("newer.db");
    drop(Store::open(&newer).unwrap());
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Store::open(&newer).err(), Some(StoreError::Newer(_, 99, 2))));
    let other = folder.path().join("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let before = std::fs::read(&other).unwrap();
    assert!(matches!(Store::open(&other).err(), Some(StoreError::Foreign(..))));
    assert_eq!(std::fs::read(&other).unwrap(), before);
}

#[tokio::test]
async fn one_process_at_a_time_has_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heketi.db");
    let (store, _) = Store::open(&path).unwrap();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for name in [&path, &link] {
        let error = Store::open(name).err().unwrap();
        assert!(matches!(error, StoreError::InUse(_)), "{error}");
        assert!(error.to_string().contains(&name.display().to_string()), "{error}");
    }
    store.write::<_, StoreError, _>(add_one).await.unwrap();
    drop(store);
    assert_eq!(count(&Store::open(&link).unwrap().0), 1);
}

#[test]
fn what_a_crash_leaves_of_a_new_file_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heketi.db");
    std::fs::write(folder.path().join("heketi.db.new"), b"SQLite form").unwrap();
    std::fs::write(folder.path().join("heketi.db.lock"), b"").unwrap();
    let (store, created) = Store::open(&path).unwrap();
    assert!(created);
    assert_eq!(count(&store), 0);
    assert!(!folder.path().join("heketi.db.new").exists());
}

#[test]
fn no_file_is_made_where_one_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (linked, target) = (folder.path().join("linked.db"), folder.path().join("target.db"));
    std::os::unix::fs::symlink(&target, &linked).unwrap();
    assert!(Store::open(&linked).err().unwrap().to_string().contains("does not exist"));
    let lost = folder.path().join("lost.db");
    std::fs::write(folder.path().join("lost.db-wal"), b"changes").unwrap();
    assert!(Store::open(&lost).err().unwrap().to_string().contains("lost.db-wal"));
    assert!(!target.exists() && !lost.exists());
}

#[test]
fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let _store = Store::open(&folder.path().join("heketi.db")).unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.file_name());
    }
}

#[tokio::test]
async fn a_full_disk_is_called_so_and_is_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&folder.path().join("heketi.db")).unwrap();
    let most = |pages: i64| {
        store.write::<_, StoreError, _>(move |tx| {
            tx.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            Ok(())
        })
    };
    most(40).await.unwrap();
    let mut kept = 0;
    let error = loop {
        assert!(kept < 100_000, "the file has no limit");
        match store.write(add_one).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "database error: database or disk is full");
    assert_eq!(count(&store), kept);
    most(1000).await.unwrap();
    store.write(add_one).await.unwrap();
    assert_eq!(count(&store), kept + 1);
}

#[tokio::test]
async fn a_file_that_somebody_holds_is_called_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heketi.db");
    let (store, _) = Store::open(&path).unwrap();
    let hurry = |tx: &super::Tx<'_>| Ok::<_, StoreError>(tx.connection.busy_timeout(std::time::Duration::ZERO)?);
    store.write(hurry).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.write(add_one).await.unwrap_err();
    assert_eq!(error.to_string(), "the database cannot be written: database is locked");
    other.execute_batch("ROLLBACK").unwrap();
    store.write(add_one).await.unwrap();
    assert_eq!(count(&store), 1);
}
