//! A small disk of a test's own, which can be full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::{Service, Surroundings};

/// A file system in memory. Where this process may not mount one, which it says, the limit of file sizes stands in for it: a process that has
/// reached it can write to no file any more.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
    is_mounted: bool,
}

impl SmallDisk {
    /// One of so many MiB, mounted on `folder`, which is made.
    pub fn mounted_on(folder: &Path, mebibytes: u32) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let size = format!("size={mebibytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        let is_mounted = mount.is_ok_and(|done| done.status.success());
        if !is_mounted {
            eprintln!("NO FILE SYSTEM CAN BE MOUNTED HERE: a limit of file sizes stands in for the full disk");
        }
        Self { folder: folder.to_owned(), is_mounted }
    }

    /// What a process needs around it that is to find the disk full: one that reaches a limit of file sizes is else ended by a signal.
    pub fn surroundings(&self) -> Surroundings {
        if self.is_mounted { Surroundings::default() } else { Surroundings::default().after("trap '' XFSZ") }
    }

    /// Leaves no byte on it, for the service.
    pub fn fill(&self, service: &Service) {
        if self.is_mounted {
            let of = format!("of={}", self.ballast().display());
            // It ends when nothing goes any more.
            Command::new("dd").args(["if=/dev/zero", "bs=64k", &of]).output().expect("dd runs");
        } else {
            limit(service, Some(0));
        }
    }

    /// Gives the room back.
    pub fn free(&self, service: &Service) {
        if self.is_mounted {
            fs::remove_file(self.ballast()).expect("the ballast is thrown off");
        } else {
            limit(service, None);
        }
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.is_mounted {
            // What is still open there goes when its process ends.
            Command::new("umount").arg("-l").arg(&self.folder).status().ok();
        }
    }
}

fn limit(service: &Service, bytes: Option<u64>) {
    let id = Pid::from_raw(service.id().try_into().expect("an id"));
    prlimit(id, Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("the limit is set");
}
