//! A control loop in floating point: a PI controller and the first-order plant that it makes follow a triangle.

/// Period of the loop, seconds.
const PERIOD_S: f64 = 0.01;
/// Time constant of the plant, seconds.
const PLANT_S: f64 = 0.08;
/// Gain of the controller.
const GAIN: f64 = 1.5;
/// Time constant of its integral part, seconds.
const INTEGRAL_S: f64 = 0.2;
/// Steps from one corner of the triangle to the next.
const RAMP_STEPS: u64 = 100;

/// The state of set-point, controller and plant. Each step follows from the one before alone.
#[derive(Clone, Copy, Debug)]
pub struct Loop {
    steps: u64,
    plant: f64,
    integral: f64,
    sum: f64,
}

impl Loop {
    /// Before the first step.
    pub const AT_REST: Self = Self {
        steps: 0,
        plant: 0.0,
        integral: 0.0,
        sum: 0.0,
    };

    /// Returns the state one period later.
    pub fn step(self) -> Self {
        let error = self.setpoint() - self.plant;
        let integral = self.integral + error * PERIOD_S / INTEGRAL_S;
        let output = GAIN * (error + integral);
        let plant = self.plant + (output - self.plant) * PERIOD_S / PLANT_S;
        Self {
            steps: self.steps + 1,
            plant,
            integral,
            sum: self.sum + plant,
        }
    }

    /// A triangle from 0 to 1 and back.
    fn setpoint(&self) -> f64 {
        let phase = self.steps % (2 * RAMP_STEPS);
        phase.min(2 * RAMP_STEPS - phase) as f64 / RAMP_STEPS as f64
    }

    /// Tells whether the steps in between, made again, lead to exactly the later state.
    pub fn repeat_until(self, later: &Self) -> bool {
        let again = (self.steps..later.steps).fold(self, |state, _| state.step());
        let bits = |state: &Self| [state.plant, state.integral, state.sum].map(f64::to_bits);
        bits(&again) == bits(later)
    }

    /// The plant's value.
    pub fn plant(&self) -> f64 {
        self.plant
    }

    /// Sum of the plant's values: goes wrong for good when a single step did.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}
