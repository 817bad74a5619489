//! Amounts with their units: durations, sizes, shares of processors.

use std::time::Duration;

/// A duration: numbers with units, largest first (`30s`, `1m30s`, `500ms`, `1.5h`).
pub fn duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("{text:?} is not a valid duration; expected e.g. 30s, 500ms, 1m30s");
    let mut rest = text;
    let mut total = 0u128;
    let mut last_unit = u128::MAX;
    if rest.is_empty() {
        return Err(expected());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| format!("{text:?} says no unit: write {text}s for seconds, or ms, m, h"))?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit_millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(expected()),
        };
        if unit_millis >= last_unit {
            return Err(expected());
        }
        last_unit = unit_millis;
        let part = scaled(number, unit_millis).ok_or_else(expected)?;
        total = total.checked_add(part).ok_or_else(expected)?;
        rest = after;
    }
    let millis = u64::try_from(total).map_err(|_| format!("{text:?} is longer than any wait"))?;
    Ok(Duration::from_millis(millis))
}

/// A duration in whole milliseconds, at most one hour: the bound of every wait of a stop.
pub fn millis(text: &str) -> Result<u32, String> {
    let duration = duration(text)?;
    u32::try_from(duration.as_millis())
        .ok()
        .filter(|&millis| millis <= 3_600_000)
        .ok_or_else(|| format!("{text:?} is longer than one hour"))
}

/// A size in bytes (`512MiB`, `2GB`, `1.5GiB`).
pub fn bytes(text: &str) -> Result<u64, String> {
    let expected = || format!("{text:?} is not a valid size; expected e.g. 512MiB, 2GiB, 10MB");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_bytes: u128 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        // Docker takes `g` for 2^30, Kubernetes `G` for 10^9: nobody has to guess here.
        letter @ ("k" | "m" | "g" | "t") => {
            let letter = letter.to_ascii_uppercase();
            return Err(format!(
                "{text:?} may mean two things: write {number}{letter}iB (by 1024) or {number}{letter}B (by 1000)"
            ));
        }
        "" if !number.is_empty() => {
            return Err(format!("{text:?} says no unit: write {number}B for bytes, or MiB, GiB, MB, GB"));
        }
        _ => return Err(expected()),
    };
    let bytes = scaled(number, unit_bytes).ok_or_else(expected)?;
    u64::try_from(bytes).map_err(|_| format!("{text:?} is more than any machine has"))
}

/// A share of processors in thousandths of a core (`1.5` is 1500).
pub fn cpu_millis(text: &str) -> Result<u32, String> {
    scaled(text, 1_000).and_then(|millis| u32::try_from(millis).ok()).ok_or_else(|| {
        format!("{text:?} is not a valid number of cores; expected at most three decimals, e.g. 1.5")
    })
}

/// A decimal number times `unit`, if it is one and the result is whole.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && text.len() <= 18;
    if whole.is_empty() || !digits(whole) || !digits(fraction) || number.ends_with('.') {
        return None;
    }
    let whole = whole.parse::<u128>().ok()?.checked_mul(unit)?;
    if fraction.is_empty() {
        return Some(whole);
    }
    let parts = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = fraction.parse::<u128>().ok()?.checked_mul(unit)?;
    (fraction % parts == 0).then(|| whole + fraction / parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_say_their_units() {
        for (text, expected) in [
            ("0s", 0),
            ("2s", 2_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("2d", 172_800_000),
            ("0.25s", 250),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(expected)), "{text}");
        }
        for bad in ["", "30", "s", "-1s", "1s30", "30s1m", "1s1s", "1 s", "1.s", ".5s", "1e3s", "∞s", "1y"]
        {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert!(duration(&format!("{}h", "9".repeat(18))).is_err());
        assert!(duration(&"9".repeat(40)).is_err());
        assert!(duration("30").unwrap_err().contains("30s"));
    }

    #[test]
    fn a_wait_is_at_most_an_hour() {
        assert_eq!(millis("1h"), Ok(3_600_000));
        assert!(millis("1h1ms").is_err());
        assert!(millis("60d").is_err());
    }

    #[test]
    fn sizes_say_what_they_count_by() {
        for (text, expected) in
            [("1B", 1), ("10MB", 10_000_000), ("2GiB", 2 << 30), ("1.5gib", 3 << 29), ("512 MiB", 512 << 20)]
        {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for bad in [
            "",
            "2",
            "2g",
            "2G",
            "-1MB",
            "GiB",
            "1.0.0MB",
            "1.1B",
            "1MiBx",
            "9999999999999TiB",
            "1PB",
            "1,5GB",
        ] {
            assert!(bytes(bad).is_err(), "{bad:?}");
        }
        assert!(bytes("2g").unwrap_err().contains("2GiB"));
    }

    #[test]
    fn cores_come_in_thousandths() {
        for (text, expected) in [("1", 1000), ("0.5", 500), ("1.125", 1125), ("16", 16_000)] {
            assert_eq!(cpu_millis(text), Ok(expected), "{text}");
        }
        for bad in ["", ".", "1.", ".5", "1.0001", "-1", "1 core", "99999999999", "NaN"] {
            assert!(cpu_millis(bad).is_err(), "{bad:?}");
        }
    }
}
