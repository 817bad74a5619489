//! `explain`: the error catalogue.

use serde_json::{Value, json};

use crate::{
    api::errors::{ErrorCode, as_markdown},
    cli::{failure::Failure, output::Screen},
};

/// Prints the entry of a code, or the whole catalogue.
pub fn explain(screen: &mut Screen, code: Option<&str>) -> Result<(), Failure> {
    let Some(code) = code else {
        screen.value(&Value::Array(ErrorCode::ALL.iter().copied().map(entry).collect()))?;
        return screen.print(as_markdown());
    };
    let Some(found) = ErrorCode::ALL.iter().copied().find(|known| known.as_str() == code) else {
        return Err(Failure::usage(format!("there is no error code {code:?}"))
            .remedy("List them all: `manman explain`."));
    };
    screen.value(&entry(found))?;
    screen.print(format!("{code}\n  cause: {}\n  what to do: {}\n", found.cause(), found.remedy()))
}

fn entry(code: ErrorCode) -> Value {
    json!({
        "code": code.as_str(),
        "grpc": code.grpc() as i32,
        "http": code.http(),
        "cause": code.cause(),
        "remedy": code.remedy(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained() {
        for code in ErrorCode::ALL {
            let (mut screen, shown) = Screen::captured();
            explain(&mut screen, Some(code.as_str())).unwrap();
            assert!(shown.out().contains(code.remedy()), "{}", code.as_str());
        }
        let (mut screen, shown) = Screen::captured();
        assert!(explain(&mut screen, Some("nonsense")).is_err());
        explain(&mut screen, None).unwrap();
        assert_eq!(shown.out(), as_markdown());
    }
}
