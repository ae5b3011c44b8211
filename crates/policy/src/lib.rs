//! ghmesh-policy.
