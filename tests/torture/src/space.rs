//! A small disk for the tables, which can be full: a tablespace on a file system in memory, where this process may mount one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outside::database::Database;

const SIZE: &str = "size=192m,mode=777";

/// The disk.
#[derive(Debug)]
pub(crate) struct Space {
    folder: Option<PathBuf>,
    /// How often the tables have come to another place of it.
    generation: u32,
}

impl Space {
    /// Mounts it and makes the tablespace `small`; without the right to mount there is none, and no fault of it.
    pub(crate) async fn prepare(database: &Database) -> Self {
        let folder = std::env::temp_dir().join(format!("millrace-torture-space-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(&folder).status().is_ok_and(|done| done.success());
        if !mounted {
            std::fs::remove_dir(&folder).ok();
            return Self { folder: None, generation: 0 };
        }
        let space = Self { folder: Some(folder), generation: 0 };
        let place = space.place();
        make_place(&place);
        database.execute(&format!("CREATE TABLESPACE small LOCATION '{}'", place.display())).await;
        database.execute("GRANT CREATE ON TABLESPACE small TO PUBLIC").await;
        space
    }

    /// Where the tables are; a folder that is not there where there is no small disk.
    pub(crate) fn place(&self) -> PathBuf {
        self.folder.clone().unwrap_or_default().join(format!("tables-{}", self.generation))
    }

    /// Makes another place for the tables; returns the old one, which nobody needs when the present server has ended.
    pub(crate) fn move_on(&mut self) -> PathBuf {
        let old = self.place();
        self.generation += 1;
        if self.is_there() {
            make_place(&self.place());
        }
        old
    }

    pub(crate) fn is_there(&self) -> bool {
        self.folder.is_some()
    }

    /// What a table's definition says of where it is.
    pub(crate) fn clause(&self) -> String {
        if self.is_there() { "TABLESPACE small".to_owned() } else { String::new() }
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) {
        let file = self.ballast();
        Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", file.display())).output().expect("dd runs");
    }

    /// Gives the room back.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast is thrown off");
    }

    fn ballast(&self) -> PathBuf {
        self.folder.as_ref().expect("there is a small disk").join("ballast")
    }
}

/// As root the scripts run PostgreSQL as the user postgres, who must own the place; else it runs as this user, who does.
fn make_place(place: &Path) {
    std::fs::create_dir(place).expect("a folder");
    Command::new("chown").arg("postgres:").arg(place).status().ok();
}

impl Drop for Space {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // PostgreSQL may still have files open there: the mount goes when it ends.
            Command::new("umount").arg("-l").arg(folder).status().ok();
            std::fs::remove_dir(folder).ok();
        }
    }
}
