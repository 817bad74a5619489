//! The stamps that the engine puts before each message of a log.

/// Nanoseconds since 1970, as the engine's clock tells them.
pub(super) type Nanos = i64;

/// The length of `2026-11-21T09:29:26.914437404Z `, the shortest form.
const SHORTEST: usize = 31;
/// The length with `+02:00` for `Z`: the driver `local` tells times in the engine's zone.
pub(super) const LONGEST: usize = 36;

/// Reads the stamp that `text` begins with, and tells its length with the space behind it.
///
/// The engine writes it in a form of its own, which has all nine digits always
/// (`jsonmessage.RFC3339NanoFixed`).
pub(super) fn read(text: &[u8]) -> Option<(Nanos, usize)> {
    let text = text.get(..text.len().min(LONGEST))?;
    if text.len() < SHORTEST {
        return None;
    }
    let digits = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0i64, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
        })
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.')];
    if marks.iter().any(|&(at, mark)| text[at] != mark) {
        return None;
    }
    let day = days(digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let second = day * 86_400 + digits(11, 13)? * 3_600 + digits(14, 16)? * 60 + digits(17, 19)?;
    let nanos = digits(20, 29)?;
    let (east, length) = match text[29] {
        b'Z' => (0, SHORTEST),
        sign @ (b'+' | b'-') if text.len() == LONGEST && text[32] == b':' => {
            let east = digits(30, 32)? * 3_600 + digits(33, 35)? * 60;
            (if sign == b'+' { east } else { -east }, LONGEST)
        }
        _ => return None,
    };
    if text[length - 1] != b' ' {
        return None;
    }
    Some(((second - east).checked_mul(1_000_000_000)? + nanos, length))
}

/// Days from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use manman_core::clock::Timestamp;

    use super::*;

    #[test]
    fn stamps_of_an_engine_are_read() {
        for (text, length) in [
            ("2026-11-21T09:29:26.914437404Z after", 31),
            ("2026-11-21T11:29:26.914437404+02:00 after", 36),
            ("2026-11-21T05:59:26.914437404-03:30 ", 36),
        ] {
            let (at, read) = read(text.as_bytes()).unwrap();
            assert_eq!(read, length);
            let moment = Timestamp::parse("2026-11-21T09:29:26.914437404Z").unwrap();
            assert_eq!(at, moment.as_micros() * 1_000 + 404);
        }
        for text in [
            "",
            "2026-11-21T09:29:26.914437404Zafter",
            "2026-11-21 09:29:26.914437404Z ",
            "2026-11-2xT09:29:26.914437404Z ",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn any_day_is_that_of_the_calendar() {
        for day in (0..40_000).step_by(17) {
            let at = Timestamp::from_micros(day * 86_400_000_000);
            let text = format!("{}.000000000Z ", at.to_string().get(..19).unwrap());
            assert_eq!(read(text.as_bytes()), Some((at.as_micros() * 1_000, 31)));
        }
    }
}
