//! Journeys with the real programs: a whole mesh brought up by `ward up`, used, broken and taken down. As root each
//! instance lives in a network namespace, else on loopback addresses; what is tested is the same.
mod attach;
mod audit;
mod crashes;
mod disk;
mod life;
mod mesh;
mod policies;
mod refused;
mod reload;
