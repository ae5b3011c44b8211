//! ghmesh-tests.
