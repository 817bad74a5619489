//! `doctor`: one page about an installation and its machine, for a report of a problem.
//!
//! Each part asks by itself and is bounded by itself; what cannot be asked is a line of the
//! page. Nothing is changed, made or locked.

mod database;
mod files;
mod machine;
mod report;
mod runtime;
mod served;
mod settings;

pub use machine::units;
use report::Report;

use super::{
    failure::Failure,
    grammar::{Common, LookArgs},
    look::Look,
    output::Screen,
};

/// Prints the page.
///
/// # Errors
/// If there is a problem, so that scripts see it too.
pub fn doctor(screen: &mut Screen, common: &Common, args: &LookArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let report = runtime.block_on(examine(common, args));
    // A question that hangs is not waited for.
    runtime.shutdown_background();
    screen.value(&report.as_json())?;
    screen.print(report.as_text(screen))?;
    match report.problems() {
        0 => Ok(()),
        1 => Err(Failure::failed("1 problem was found").detail("problems", 1)),
        n => Err(Failure::failed(format!("{n} problems were found")).detail("problems", n)),
    }
}

async fn examine(common: &Common, args: &LookArgs) -> Report {
    let look = Look::at(common, args).await;
    let (database, cluster) = database::examine(&look).await;
    let (machine, files, served, docker, process) = tokio::join!(
        machine::section(&look),
        files::section(&look),
        served::section(&look, common),
        runtime::docker(&look, cluster),
        runtime::process(&look, cluster),
    );
    let mut sections = vec![machine::program(), machine, settings::section(&look), files];
    sections.extend([database, served, docker, process]);
    Report { sections }
}
