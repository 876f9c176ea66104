mod ice_restart;
mod negotiation;
mod roster;
