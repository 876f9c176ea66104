//! A local implementation of the service.
