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
    assert!(matches!(Store::open(&other).err(), Some(StoreError::Foreign(..))));
}
