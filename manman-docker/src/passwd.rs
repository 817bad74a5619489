//! Who a user's name is by an image's own files.

/// A user and group by number; absent where it cannot be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// Resolves `user`, `user:group`, by name or number, as the engine does: a group that
/// is not said is the user's own by passwd, or 0 for a number without an entry.
pub(crate) fn resolve(user: &str, passwd: &str, group: &str) -> Ids {
    let (user, said) = user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group)));
    let number = user.parse::<u32>().ok();
    let entry = lines(passwd).find(|entry| match number {
        Some(number) => entry.get(2).and_then(|uid| uid.parse().ok()) == Some(number),
        None => entry[0] == user,
    });
    let of = |index: usize| entry.as_ref().and_then(|entry| entry.get(index)?.parse().ok());
    let uid = number.or_else(|| of(2));
    let gid = match said {
        Some(name) => name.parse().ok().or_else(|| {
            let entry = lines(group).find(|entry| entry[0] == name)?;
            entry.get(2)?.parse().ok()
        }),
        None => of(3).or(number.map(|_| 0)),
    };
    Ids { uid, gid }
}

fn lines(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().map(|line| line.split(':').collect::<Vec<_>>())
}

/// The first entry of a tar archive that is a file or a link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// A file's content.
    File(&'a [u8]),
    /// A symbolic link's target.
    Link(String),
}

/// Reads the first entry (POSIX ustar: blocks of 512 bytes; size in octal at 124, type
/// at 156, link target at 157). Headers that only say more about the next entry are
/// skipped: no name here is long enough to need one.
pub(crate) fn first_entry(archive: &[u8]) -> Option<Entry<'_>> {
    let mut rest = archive;
    loop {
        let (header, content) = rest.split_at_checked(512)?;
        let size = usize::from_str_radix(text(&header[124..136]).trim(), 8).ok()?;
        match header[156] {
            b'0' | 0 => return content.get(..size).map(Entry::File),
            b'2' => return Some(Entry::Link(text(&header[157..257]).to_owned())),
            b'x' | b'g' => rest = content.get(size.checked_next_multiple_of(512)?..)?,
            _ => return None,
        }
    }
}

fn text(field: &[u8]) -> &str {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    std::str::from_utf8(&field[..end]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nsteam:x:1001:1002::/home/steam:/bin/sh\nbroken\n";
    const GROUP: &str = "root:x:0:\ngames:x:60:steam\n";

    #[test]
    fn users_are_resolved_as_the_engine_does() {
        for (user, uid, gid) in [
            ("steam", Some(1001), Some(1002)),
            ("steam:games", Some(1001), Some(60)),
            ("steam:7", Some(1001), Some(7)),
            ("1001", Some(1001), Some(1002)),
            ("4242", Some(4242), Some(0)),
            ("4242:games", Some(4242), Some(60)),
            ("nobody", None, None),
            ("nobody:games", None, Some(60)),
            ("steam:nobody", Some(1001), None),
            ("broken", None, None),
        ] {
            assert_eq!(resolve(user, PASSWD, GROUP), Ids { uid, gid }, "{user}");
        }
    }

    fn entry(kind: u8, size: usize, link: &str) -> Vec<u8> {
        let mut header = vec![0; 512];
        header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        header[156] = kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header
    }

    #[test]
    fn a_file_is_taken_out_of_its_archive() {
        let mut archive = entry(b'x', 5, "");
        archive.extend([b'p'; 512]);
        archive.extend(entry(b'0', 4, ""));
        archive.extend(b"a:b\n");
        archive.resize(archive.len() + 508, 0);
        assert_eq!(first_entry(&archive), Some(Entry::File(b"a:b\n")));
        assert_eq!(first_entry(&entry(b'2', 0, "../x")), Some(Entry::Link("../x".into())));
        for bad in [&archive[..100], &entry(b'0', 9, ""), &entry(b'5', 0, ""), b""] {
            assert_eq!(first_entry(bad), None);
        }
        let mut forged = entry(b'x', 0, "");
        forged[124..135].copy_from_slice(b"77777777777");
        assert_eq!(first_entry(&forged), None);
    }
}
