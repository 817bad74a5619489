//! Which migration runs next. No I/O; the same for every dialect.

use std::fmt;

use super::{MigrateError, Migration, Set};

/// A migration on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its version.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// The checksum of the form that was applied.
    pub checksum: String,
    /// Whether it died half-way.
    pub dirty: bool,
}

/// Where a schema is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// To the latest version.
    Latest,
    /// To this version; 0 is an empty database.
    Version(i64),
    /// So many migrations up, or down if negative; as far as there are any.
    Steps(i64),
}

impl Goal {
    /// What is left of it after one step.
    #[must_use]
    pub fn after_one(self) -> Self {
        match self {
            Self::Steps(left) => Self::Steps(left - left.signum()),
            other => other,
        }
    }
}

/// Which way a migration runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It is made.
    Up,
    /// It is undone.
    Down,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// One migration, one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The migration.
    pub migration: Migration,
    /// Which way.
    pub direction: Direction,
}

impl Step {
    /// The SQL that it runs.
    pub fn sql(&self) -> &'static str {
        match self.direction {
            Direction::Up => self.migration.up,
            Direction::Down => self.migration.down,
        }
    }
}

/// All steps to `goal`, in order.
pub fn steps_to(set: &Set, applied: &[Applied], mut goal: Goal) -> Result<Vec<Step>, MigrateError> {
    let mut applied = applied.to_vec();
    let mut steps = Vec::new();
    while let Some(step) = next_step(set, &applied, goal)? {
        let Migration { version, name, .. } = step.migration;
        match step.direction {
            Direction::Up => applied.push(Applied {
                version,
                name: name.to_owned(),
                checksum: step.migration.checksum(),
                dirty: false,
            }),
            Direction::Down => applied.retain(|it| it.version != version),
        }
        goal = goal.after_one();
        steps.push(step);
    }
    Ok(steps)
}

/// The next step towards `goal`, or `None` if the schema is there. With [`Goal::Steps`] the
/// caller counts: one step towards it is taken off by each step.
pub fn next_step(set: &Set, applied: &[Applied], goal: Goal) -> Result<Option<Step>, MigrateError> {
    sound(set, applied)?;
    let at = applied.iter().map(|it| it.version).max().unwrap_or(0);
    let target = match goal {
        Goal::Latest => set.latest(),
        Goal::Version(version) if set.has(version) => version,
        Goal::Version(version) => {
            return Err(MigrateError::NoSuchVersion { version, known: set.latest() });
        }
        Goal::Steps(0) => at,
        Goal::Steps(steps) if steps > 0 => set.latest(),
        Goal::Steps(_) => 0,
    };
    let step = |migration: &Migration, direction| Some(Step { migration: *migration, direction });
    Ok(if target > at {
        let next = set.all().iter().find(|it| it.version > at);
        next.and_then(|migration| step(migration, Direction::Up))
    } else if target < at {
        set.get(at).and_then(|migration| step(migration, Direction::Down))
    } else {
        None
    })
}

/// Refuses a record that this set cannot go on from.
pub(crate) fn sound(set: &Set, applied: &[Applied]) -> Result<(), MigrateError> {
    for it in applied {
        let version = it.version;
        match set.get(version) {
            None => return Err(MigrateError::Newer { version, known: set.latest() }),
            Some(_) if it.dirty => return Err(MigrateError::Dirty { version }),
            Some(known) if known.checksum() != it.checksum => return Err(MigrateError::Changed { version }),
            Some(_) => {}
        }
    }
    let at = applied.iter().map(|it| it.version).max().unwrap_or(0);
    let missing = set
        .all()
        .iter()
        .find(|known| known.version < at && !applied.iter().any(|it| it.version == known.version));
    match missing {
        Some(known) => Err(MigrateError::Gap { version: known.version }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Migration; 3] = [
        Migration { version: 1, name: "a", up: "1", down: "-1" },
        Migration { version: 2, name: "b", up: "2", down: "-2" },
        Migration { version: 5, name: "c", up: "5", down: "-5" },
    ];

    fn applied(versions: &[i64]) -> Vec<Applied> {
        let one = |&version: &i64| Applied {
            version,
            name: String::new(),
            checksum: Set::new(ALL).get(version).map(Migration::checksum).unwrap_or_default(),
            dirty: false,
        };
        versions.iter().map(one).collect()
    }

    fn next(versions: &[i64], goal: Goal) -> Option<(i64, Direction)> {
        let step = next_step(&Set::new(ALL), &applied(versions), goal).unwrap()?;
        Some((step.migration.version, step.direction))
    }

    #[test]
    fn one_step_at_a_time_leads_to_the_goal() {
        use Direction::{Down, Up};
        assert_eq!(next(&[], Goal::Latest), Some((1, Up)));
        assert_eq!(next(&[1, 2], Goal::Latest), Some((5, Up)));
        assert_eq!(next(&[1, 2, 5], Goal::Latest), None);
        assert_eq!(next(&[1, 2, 5], Goal::Version(1)), Some((5, Down)));
        assert_eq!(next(&[1, 2], Goal::Version(1)), Some((2, Down)));
        assert_eq!(next(&[1], Goal::Version(1)), None);
        assert_eq!(next(&[1], Goal::Version(0)), Some((1, Down)));
        assert_eq!(next(&[1], Goal::Steps(2)), Some((2, Up)));
        assert_eq!(next(&[1], Goal::Steps(-2)), Some((1, Down)));
        assert_eq!(next(&[], Goal::Steps(-2)), None);
        assert_eq!(next(&[1], Goal::Steps(0)), None);
    }

    #[test]
    fn all_steps_are_those_that_would_run_one_by_one() {
        let steps = |versions: &[i64], goal| {
            let steps = steps_to(&Set::new(ALL), &applied(versions), goal).unwrap();
            steps.iter().map(Step::sql).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(steps(&[], Goal::Latest), "1 2 5");
        assert_eq!(steps(&[1, 2, 5], Goal::Version(0)), "-5 -2 -1");
        assert_eq!(steps(&[1], Goal::Steps(1)), "2");
        assert_eq!(steps(&[1, 2], Goal::Steps(-9)), "-2 -1");
        assert_eq!(steps(&[1, 2, 5], Goal::Latest), "");
    }

    #[test]
    fn what_cannot_be_gone_on_from_is_refused() {
        let refused = |applied: &[Applied], goal| next_step(&Set::new(ALL), applied, goal).unwrap_err();
        assert!(matches!(
            refused(&applied(&[1]), Goal::Version(3)),
            MigrateError::NoSuchVersion { version: 3, known: 5 }
        ));
        assert!(matches!(
            refused(&applied(&[1, 2, 5, 6]), Goal::Latest),
            MigrateError::Newer { version: 6, known: 5 }
        ));
        assert!(matches!(refused(&applied(&[1, 5]), Goal::Latest), MigrateError::Gap { version: 2 }));
        let mut other = applied(&[1, 2]);
        other[1].checksum = "x".into();
        assert!(matches!(refused(&other, Goal::Latest), MigrateError::Changed { version: 2 }));
        other[1].dirty = true;
        assert!(matches!(refused(&other, Goal::Version(0)), MigrateError::Dirty { version: 2 }));
    }
}
