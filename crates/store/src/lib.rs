//! ghmesh-store.
