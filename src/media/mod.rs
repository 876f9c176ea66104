//! Sound and pictures between the app and the wire. Whatever decides here is pure: told the time, and
//! without hardware, sockets or tasks.

pub mod audio;
pub mod files;
