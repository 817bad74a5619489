//! Attach streams as engines send them, made from a fixed seed.

use bytes::{BufMut, Bytes, BytesMut};

/// A stream, and how its reads are cut.
#[derive(Clone, Debug)]
pub struct Stream {
    /// What it is like, in a word.
    pub name: &'static str,
    /// The frames.
    pub bytes: Bytes,
    /// The lengths of the reads, over and over.
    pub reads: Vec<usize>,
}

/// The most that one read takes.
pub const READ: usize = 64 << 10;

/// The six workloads, of about `size` bytes each.
///
/// `w64`, `w120`: a line of 64, 120 bytes a frame. `k1`, `k16`: frames of 1 KiB, 16 KiB full of
/// lines as Minecraft prints them, cut anywhere. `mc`: one line of 40 to 200 bytes a frame,
/// one of twenty on stderr. `split`: both channels, lines cut over frames of 1 to 4096 bytes,
/// reads cut anywhere.
pub fn workloads(size: usize) -> Vec<Stream> {
    let mut random = Random(0x6d61_6e6d_616e);
    let whole = || vec![READ];
    let cut = (0..1009).map(|_| 1 + random.below(READ)).collect();
    vec![
        Stream { name: "w64", bytes: fixed(size, 64), reads: whole() },
        Stream { name: "w120", bytes: fixed(size, 120), reads: whole() },
        Stream { name: "k1", bytes: filled(size, 1 << 10, &mut random), reads: whole() },
        Stream { name: "k16", bytes: filled(size, 16 << 10, &mut random), reads: whole() },
        Stream { name: "mc", bytes: mixed(size, &mut random), reads: whole() },
        Stream { name: "split", bytes: split(size, &mut random), reads: cut },
    ]
}

fn frame(stream: &mut BytesMut, channel: u8, payload: &[u8]) {
    stream.put_slice(&[channel, 0, 0, 0]);
    stream.put_u32(u32::try_from(payload.len()).expect("a small frame"));
    stream.put_slice(payload);
}

fn fixed(size: usize, length: usize) -> Bytes {
    let mut stream = BytesMut::with_capacity(size + length + 8);
    let mut number = 0u64;
    while stream.len() < size {
        number += 1;
        let line = format!("{:.<1$}\n", format!("line {number} "), length - 1);
        frame(&mut stream, 1, line.as_bytes());
    }
    stream.freeze()
}

fn filled(size: usize, length: usize, random: &mut Random) -> Bytes {
    let mut stream = BytesMut::with_capacity(size + length + 8);
    let mut text = Vec::new();
    while stream.len() < size {
        while text.len() < length {
            text.extend_from_slice(minecraft(random).as_bytes());
        }
        frame(&mut stream, 1, &text[..length]);
        text.drain(..length);
    }
    stream.freeze()
}

fn mixed(size: usize, random: &mut Random) -> Bytes {
    let mut stream = BytesMut::with_capacity(size + 256);
    while stream.len() < size {
        // Three dice: many about 90, some up to 200.
        let length = 40 + (random.below(54) + random.below(54) + random.below(54)).saturating_sub(2);
        let line = format!("{:x<1$}\n", "[12:00:00] [Server thread/INFO]: ", length - 1);
        let channel = if random.below(20) == 0 { 2 } else { 1 };
        frame(&mut stream, channel, line.as_bytes());
    }
    stream.freeze()
}

fn split(size: usize, random: &mut Random) -> Bytes {
    let mut stream = BytesMut::with_capacity(size + 8192);
    let mut texts = [Vec::new(), Vec::new()];
    while stream.len() < size {
        let channel = random.below(2);
        let length = 1 + random.below(4096);
        let text = &mut texts[channel];
        while text.len() < length {
            text.extend_from_slice(minecraft(random).as_bytes());
        }
        frame(&mut stream, 1 + u8::try_from(channel).expect("0 or 1"), &text[..length]);
        text.drain(..length);
    }
    stream.freeze()
}

fn minecraft(random: &mut Random) -> String {
    let (hour, minute, second) = (random.below(24), random.below(60), random.below(60));
    let player = random.below(5000);
    let what = match random.below(5) {
        0 => format!("Player{player} joined the game"),
        1 => format!(
            "Player{player}[/10.0.0.{}:{}] logged in with entity id {}",
            player % 250,
            20_000 + player,
            player * 7
        ),
        2 => format!("<Player{player}> has anybody seen my sheep? I had {} of them yesterday", player % 40),
        3 => format!(
            "Can't keep up! Is the server overloaded? Running {}ms or {} ticks behind",
            player * 3,
            player / 17
        ),
        _ => format!("Saving chunks for level 'ServerLevel[world]'/minecraft:overworld ({player})"),
    };
    format!("[{hour:02}:{minute:02}:{second:02}] [Server thread/INFO]: {what}\n")
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).expect("below a usize")
    }
}
