//! The manager dies before and after every single call it makes.
