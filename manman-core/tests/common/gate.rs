//! What a test holds others up with.

use std::sync::{Arc, Condvar, Mutex};

/// Open at first.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Shuts it until what is given back is dropped, whatever becomes of the test: a runtime waits
    /// for its threads.
    pub fn shut(&self) -> Shut {
        *self.0.0.lock().unwrap() = true;
        Shut(self.clone())
    }

    /// Waits while it is shut.
    pub fn pass(&self) {
        let shut = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(shut, |shut| *shut).unwrap());
    }
}

/// Opens the gate when it is dropped.
pub struct Shut(Gate);

impl Drop for Shut {
    fn drop(&mut self) {
        let (shut, changed) = &*self.0.0;
        *shut.lock().unwrap() = false;
        changed.notify_all();
    }
}
