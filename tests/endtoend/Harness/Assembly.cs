// Each stack is five processes; more than two at once would measure the machine.
[assembly: Xunit.v3.Parallelization(MaxThreads = 2)]

// Signals and /proc: what a stack leaves behind is looked for where only Linux shows it.
[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]
