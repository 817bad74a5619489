//! Small programs that embed manman, one in each file of `src/bin`.
