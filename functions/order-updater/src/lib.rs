//! order-updater
