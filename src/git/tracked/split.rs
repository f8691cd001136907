//! A split index: nearly all entries are in a shared file beside it, `sharedindex.ID`, and its `link` extension says which of
//! those are deleted and which are replaced (git's `gitformat-index`).
//!
//! Both files may be the agent's. What is done with them grows with their sizes and nothing else: a bit that names no entry of
//! the shared file is refused before anything is made of it.

use git2::Oid;
use sha1::{Digest as _, Sha1};

use super::{CHECKSUM, Entry, File, Reader};

/// The extension.
pub(super) struct Link<'a> {
    /// By its checksum; zero where there is none.
    shared: Oid,
    /// Two bitmaps, or nothing.
    bitmaps: &'a [u8],
}

impl<'a> Link<'a> {
    pub(super) fn read(content: &'a [u8]) -> Option<Self> {
        let (shared, bitmaps) = content.split_at_checked(CHECKSUM)?;
        Some(Self { shared: Oid::from_bytes(shared).ok()?, bitmaps })
    }

    /// Makes the index's `own` entries all that it has; where that cannot be done they stay as they are.
    pub(super) fn join(&self, own: &mut Vec<Entry>, shared: impl FnOnce(&str) -> Option<Vec<u8>>) -> Option<()> {
        if self.shared.is_zero() {
            return Some(());
        }
        let content = shared(&format!("sharedindex.{}", self.shared))?;
        if !is_named_by(self.shared, &content) {
            return None;
        }
        let File { entries: mut all, link: None, is_whole: true, .. } = File::read(&content) else { return None };
        let (deleted, replaced) = self.changed(all.len())?;
        let (replacing, added) = own.split_at_checked(replaced.len())?;
        let is_said_twice = replaced.iter().any(|at| deleted.binary_search(at).is_ok());
        if is_said_twice || !replacing.iter().all(is_nameless) || added.iter().any(is_nameless) {
            return None;
        }
        let mut rest = std::mem::take(own).into_iter();
        // What takes the place of another has its name.
        for (at, new) in replaced.iter().zip(&mut rest) {
            let path = std::mem::take(&mut all[*at].path);
            all[*at] = Entry { path, ..new };
        }
        let mut gone = deleted.iter().peekable();
        let kept = all.into_iter().enumerate().filter(|(at, _)| gone.next_if(|gone| *gone == at).is_none());
        let mut kept = kept.map(|(_, entry)| entry).peekable();
        for new in rest {
            while let Some(entry) = kept.next_if(|entry| entry.key() < new.key()) {
                own.push(entry);
            }
            // One that is merged takes the place of all sides of it.
            let is_replaced = |entry: &Entry| entry.path == new.path && (new.stage == 0 || new.stage == entry.stage);
            while kept.next_if(is_replaced).is_some() {}
            own.push(new);
        }
        own.extend(kept);
        Some(())
    }

    /// Returns which of the `count` entries of the shared file are deleted and which are replaced, by their numbers.
    fn changed(&self, count: usize) -> Option<(Vec<usize>, Vec<usize>)> {
        if self.bitmaps.is_empty() {
            return Some((Vec::new(), Vec::new()));
        }
        let mut reader = Reader { bytes: self.bitmaps };
        let changed = (bits(&mut reader, count)?, bits(&mut reader, count)?);
        reader.bytes.is_empty().then_some(changed)
    }
}

fn is_nameless(entry: &Entry) -> bool {
    entry.path.is_empty()
}

/// Returns whether a file is the one of that checksum, and not damaged. Git compares only what stands at its end.
fn is_named_by(id: Oid, content: &[u8]) -> bool {
    let Some((content, end)) = content.len().checked_sub(CHECKSUM).map(|at| content.split_at(at)) else { return false };
    end == id.as_bytes() && Sha1::digest(content).as_slice() == end
}

/// Reads an EWAH bitmap and returns which bits are set, all of which must be below `count`.
///
/// It says its length in bits, the number of its words of 64 bits, these, and which of them is the last marker. A marker says
/// (from its lowest bit on) what a run of words is full of, in 32 bits how many of these there are, and in 31 bits how many
/// literal words follow.
fn bits(reader: &mut Reader<'_>, count: usize) -> Option<Vec<usize>> {
    const WORD: usize = 64;
    let (_, words) = (reader.number()?, reader.number()?);
    let mut words = Reader { bytes: reader.take((words as usize).checked_mul(8)?)? };
    reader.number()?;
    let mut found = Vec::new();
    let mut at = 0_usize;
    while !words.bytes.is_empty() {
        let marker = words.word()?;
        let run = usize::try_from(marker >> 1 & u64::from(u32::MAX)).ok()?;
        let end = at.checked_add(run.checked_mul(WORD)?)?;
        if marker & 1 == 1 {
            if end > count {
                return None;
            }
            found.extend(at..end);
        }
        at = end;
        for _ in 0..marker >> 33 {
            let mut word = words.word()?;
            while word != 0 {
                let bit = at.checked_add(word.trailing_zeros() as usize).filter(|bit| *bit < count)?;
                found.push(bit);
                word &= word - 1;
            }
            at = at.checked_add(WORD)?;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::super::Index;
    use super::*;

    /// Returns the file of a bitmap of these words.
    fn bitmap(words: &[u64]) -> Vec<u8> {
        let count = u32::try_from(words.len()).expect("few");
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        [&[0; 4], &count.to_be_bytes()[..], &words, &[0; 4]].concat()
    }

    fn marker(is_set: bool, run: u64, literals: u64) -> u64 {
        u64::from(is_set) | run << 1 | literals << 33
    }

    fn read(file: &[u8], count: usize) -> Option<Vec<usize>> {
        let mut reader = Reader { bytes: file };
        bits(&mut reader, count).filter(|_| reader.bytes.is_empty())
    }

    #[test]
    fn runs_and_literal_words_are_bits() {
        let file = bitmap(&[marker(true, 1, 1), 0b1001, marker(false, 2, 2), 1 << 63, 0, marker(false, 5, 0)]);
        let expected: Vec<usize> = (0..64).chain([64, 67, 319]).collect();
        assert_eq!(read(&file, 320), Some(expected));
        assert_eq!(read(&file, 319), None);
        assert_eq!(read(&bitmap(&[]), 0), Some(Vec::new()));
        assert_eq!(read(&bitmap(&[marker(true, 1, 0)]), 63), None);
    }

    #[test]
    fn a_small_bitmap_does_not_become_many_bits() {
        let most = marker(true, u64::from(u32::MAX), 0);
        assert_eq!(read(&bitmap(&[most]), 1_000_000), None);
        let nothing = marker(false, u64::from(u32::MAX), 0);
        assert_eq!(read(&bitmap(&[nothing; 100]), 10), Some(Vec::new()));
        assert_eq!(read(&bitmap(&[nothing, marker(false, 0, 1), 1]), 10), None);
        // More literal words than there are, and fewer words than it says.
        assert_eq!(read(&bitmap(&[marker(false, 0, 2), 1]), 10), None);
        assert_eq!(read(&bitmap(&[0])[..8], 10), None);
    }

    /// Runs a script in a repository with an index of many entries, and compares what is read with what git lists.
    fn is_as_git_lists(dir: &std::path::Path, script: &str) {
        let mut command = crate::confine::spawn::command("sh");
        command.env_remove("GIT_DIR").env("HOME", dir).env("GIT_CONFIG_NOSYSTEM", "1").current_dir(dir);
        let script = format!("set -e; git() {{ command git -c user.name=a -c user.email=a@b \"$@\"; }}; {script}");
        assert!(command.args(["-c", &script]).status().expect("sh starts").success(), "{script}");
        let listed = crate::git::oracle::git().arg("-C").arg(dir).args(["ls-files", "-s", "-z"]).output().expect("git");
        let index = std::fs::read(dir.join(".git/index")).expect("an index");
        let read = Index::read(&index, |name| std::fs::read(dir.join(".git").join(name)).ok());
        assert!(read.is_whole, "{script}");
        let line = |entry: &Entry| {
            let path = String::from_utf8_lossy(&entry.path);
            format!("{:06o} {} {}\t{path}\0", entry.mode, entry.id, entry.stage)
        };
        let lines: String = read.entries.iter().map(line).collect();
        assert_eq!(lines, String::from_utf8_lossy(&listed.stdout), "{script}");
    }

    #[test]
    fn what_a_split_index_tracks_is_what_git_says() {
        let dir = tempfile::tempdir().expect("a directory");
        let is_as_git_lists = |script: &str| is_as_git_lists(dir.path(), script);
        is_as_git_lists(
            "git init -q -b main; mkdir -p d/e; for n in $(seq 300); do echo $n > f$n; echo $n > d/e/g$n; done; \
             git config splitIndex.maxPercentChange 100; git add .; git commit -q -m one; git update-index --split-index",
        );
        assert!(
            std::fs::read_dir(dir.path().join(".git"))
                .expect("names")
                .flatten()
                .any(|entry| { entry.file_name().to_string_lossy().starts_with("sharedindex.") })
        );
        for version in [2, 4, 3] {
            is_as_git_lists(&format!(
                "git update-index --index-version {version}; echo {version} > f7; echo {version} > d/e/g99; git add -u"
            ));
            is_as_git_lists(&format!(
                "echo n > new{version}; echo n > d/a{version}; git add .; git rm -q --cached f{version}"
            ));
            // A whole run of words of each bitmap.
            is_as_git_lists("git rm -q -r --cached d; git update-index --chmod=+x f300 f100");
            is_as_git_lists(
                "git add d; git update-index --skip-worktree f9; git add -N .; git update-index --no-skip-worktree f9",
            );
            is_as_git_lists(
                "git reset -q --hard; git branch -q -f o; echo ours > f5; git commit -q -a -m ours; git checkout -q o; \
                 echo theirs > f5; git commit -q -a -m theirs; ! git merge -q main > /dev/null",
            );
            is_as_git_lists(&format!(
                "git add f5; git rm -q -f f6{version}; git commit -q -m merged; git checkout -q -B main"
            ));
            is_as_git_lists("git update-index --no-split-index; git update-index --split-index");
        }
        is_as_git_lists("git rm -q -r --cached .");
    }

    #[test]
    fn an_index_without_its_shared_one_is_not_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        is_as_git_lists(
            dir.path(),
            "git init -q; for n in $(seq 40); do echo $n > f$n; done; git add .; git update-index --split-index; \
             echo x > f1; echo y > g; git config splitIndex.maxPercentChange 100; git add .",
        );
        let git = dir.path().join(".git");
        let index = std::fs::read(git.join("index")).expect("an index");
        let shared = |name: &str| std::fs::read(git.join(name)).ok();
        let read = |damage: &dyn Fn(Vec<u8>) -> Option<Vec<u8>>| {
            let index = Index::read(&index, |name| shared(name).and_then(damage));
            (index.is_whole, index.named().len(), index.into_entries().len())
        };
        assert_eq!(read(&Some), (true, 41, 41));
        // What the file itself says is there; what takes the place of another has no name.
        let part = read(&|_| None);
        assert!(!part.0 && (2..=41).contains(&part.1) && part.2 == 1, "{part:?}");
        assert_eq!(read(&|_| Some(Vec::new())), part);
        assert_eq!(read(&|content| Some(content[..content.len() - 1].to_vec())), part);
        for at in [20, 70, 2000] {
            let damage = |mut content: Vec<u8>| {
                content[at] ^= 1;
                Some(content)
            };
            assert_eq!(read(&damage), part, "{at}");
        }
        assert_eq!(read(&|_| Some(index.clone())), part);
        for cut in [1, 20, 21, 40, 100] {
            assert!(!Index::read(&index[..index.len() - cut], shared).is_whole, "{cut}");
        }
    }
}
