//! ghmesh-fleet.
