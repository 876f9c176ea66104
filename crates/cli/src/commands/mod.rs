//! One file, or folder, per command.

pub(crate) mod call;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod files;
pub(crate) mod join;
pub(crate) mod mint;
pub(crate) mod rpc;
pub(crate) mod serve;
