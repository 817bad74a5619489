//! Whose the place is that this host acts from.

use super::host::Host;

/// What the control plane says of our place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It was not asked yet.
    Unasked,
    /// It does not answer: what the journal says goes on.
    Unknown,
    /// It is ours: we are registered.
    Ours,
    /// It refused us: another machine has it.
    Theirs,
}

impl Host {
    /// Whether the control plane has heard of us since we began.
    pub fn is_registered(&self) -> bool {
        *self.place.look() == Place::Ours
    }

    /// Whether we stand by: somebody else has our place, and until it is ours again nothing is
    /// said and nothing is done. What runs here goes on, and its consoles are read.
    pub fn stands_by(&self) -> bool {
        *self.place.look() == Place::Theirs
    }

    /// The control plane refused us.
    pub fn stand_by(&self) {
        if self.place.replace(Place::Theirs) != Place::Theirs {
            for (_, door) in self.doors.all() {
                door.knock();
            }
        }
    }

    /// The control plane did not answer, or does not know our registration any more. Who stands
    /// by does so all the same.
    pub fn unregistered(&self) {
        self.place.modify_if(|place| {
            let known = matches!(place, Place::Unasked | Place::Ours);
            if known {
                *place = Place::Unknown;
            }
            known
        });
    }

    /// Resolves when what is sent to our place may be taken: not before we know that it is not
    /// another one's, unless nobody says.
    pub async fn may_take(&self) {
        // The sender is the host's, so it is there.
        let _ = self.place.watch().until(|place| matches!(place, Place::Unknown | Place::Ours)).await;
    }

    /// Resolves when somebody else has our place.
    pub async fn refused(&self) {
        let _ = self.place.watch().until(|place| *place == Place::Theirs).await;
    }
}
