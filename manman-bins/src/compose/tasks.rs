//! The tasks of a process: when one of them ends before it should, the process does too.
//! One that limps on would look alive and do nothing.

use std::{collections::HashMap, time::Duration};

use tokio::task::{Id, JoinError, JoinSet};

/// Named tasks of a process.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<Result<(), String>>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Runs `task`; ending with an error is said with its text.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        let id = self.set.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits until one of them ends, and says so in a sentence. Waits for ever if there
    /// is none.
    pub async fn first_end(&mut self) -> String {
        match self.set.join_next_with_id().await {
            Some(ended) => {
                let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
                let sentence = sentence(&self.names, ended);
                self.names.remove(&id);
                sentence
            }
            None => std::future::pending().await,
        }
    }

    /// Waits until all have ended, `patience` at most; those that have not are cut off.
    /// Says what went wrong with any.
    pub async fn end(mut self, patience: Duration) -> Vec<String> {
        let mut wrong = Vec::new();
        let all = async {
            while let Some(ended) = self.set.join_next_with_id().await {
                let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
                if !matches!(ended, Ok((_, Ok(())))) {
                    wrong.push(sentence(&self.names, ended));
                }
                self.names.remove(&id);
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            let mut left: Vec<_> = self.names.values().copied().collect();
            left.sort_unstable();
            wrong.push(format!("still running after {} s: {}", patience.as_secs(), left.join(", ")));
            self.set.abort_all();
        }
        wrong
    }
}

fn sentence(names: &HashMap<Id, &'static str>, ended: Result<(Id, Result<(), String>), JoinError>) -> String {
    let named = |id| names.get(&id).copied().unwrap_or("a task");
    match ended {
        Ok((id, Ok(()))) => format!("{} ended by itself", named(id)),
        Ok((id, Err(error))) => format!("{} ended: {error}", named(id)),
        Err(error) if error.is_panic() => {
            format!("{} broke a promise of ours and ended (a bug): {error}", named(error.id()))
        }
        Err(error) => format!("{} was cut off: {error}", named(error.id())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_end_is_told_by_name() {
        let mut tasks = Tasks::default();
        tasks.spawn("the sleeper", std::future::pending());
        tasks.spawn("the relay", async { Err("no broker".to_owned()) });
        assert_eq!(tasks.first_end().await, "the relay ended: no broker");
        tasks.spawn("the sweep", async { panic!("on purpose") });
        let sentence = tasks.first_end().await;
        assert!(sentence.starts_with("the sweep broke a promise of ours"), "{sentence}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_end_is_ended() {
        let mut tasks = Tasks::default();
        tasks.spawn("the sleeper", std::future::pending());
        tasks.spawn("the quick", async { Ok(()) });
        assert_eq!(tasks.end(Duration::from_secs(5)).await, ["still running after 5 s: the sleeper"]);
    }
}
