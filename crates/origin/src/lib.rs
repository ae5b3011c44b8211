//! ghmesh-origin.
