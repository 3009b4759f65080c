# Builds Stigmer on Windows.
#   .\build.ps1            builds out\stigmer.exe, one native executable for this machine
#   .\build.ps1 test       builds it and runs every test
#   .\build.ps1 ANYTHING…  builds it where it is missing or older than its sources, and runs it with these words:
#                          .\build.ps1 local    starts the stack
# The .NET SDK is installed into .dotnet\ where none is found; Visual Studio's C++ tools, which the native linker needs, are
# named with the command that installs them.
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version Latest

$root = $PSScriptRoot
$out = Join-Path $root 'out'
$exe = Join-Path $out 'stigmer.exe'
$env:DOTNET_CLI_TELEMETRY_OPTOUT = '1'
$env:DOTNET_NOLOGO = '1'
$env:DOTNET_CLI_UI_LANGUAGE = 'en'

function Say($text) { [Console]::Error.WriteLine($text) }
function Die($text) { Say "error: $text"; exit 1 }

function Find-Sdk {
    $candidates = @((Join-Path $root '.dotnet\dotnet.exe'))
    $onPath = Get-Command dotnet -ErrorAction SilentlyContinue
    if ($onPath) { $candidates += $onPath.Source }
    foreach ($candidate in $candidates) {
        if (-not (Test-Path $candidate)) { continue }
        Push-Location $root
        try { & $candidate --version *> $null; if ($LASTEXITCODE -eq 0) { return $candidate } } finally { Pop-Location }
    }
    return $null
}

function Install-Sdk {
    $version = (Get-Content (Join-Path $root 'global.json') -Raw | ConvertFrom-Json).sdk.version
    Say "Installing the .NET SDK $version into .dotnet\..."
    $folder = Join-Path $root '.dotnet'
    New-Item -ItemType Directory -Force $folder | Out-Null
    $script = Join-Path $folder 'dotnet-install.ps1'
    try {
        Invoke-WebRequest -UseBasicParsing 'https://dot.net/v1/dotnet-install.ps1' -OutFile $script
        & $script -Version $version -InstallDir $folder -NoPath
    } catch {
        Die "could not install the .NET SDK $version ($_). Install it yourself: https://dotnet.microsoft.com/download/dotnet/10.0"
    }
}

function Prepare {
    New-Item -ItemType Directory -Force $out | Out-Null
    $vswhere = Join-Path ${env:ProgramFiles(x86)} 'Microsoft Visual Studio\Installer\vswhere.exe'
    $tools = if (Test-Path $vswhere) { & $vswhere -latest -products * -requires 'Microsoft.VisualStudio.Component.VC.Tools.*' -property installationPath }
    if (-not $tools) {
        Die ("Visual Studio's C++ build tools are missing. Install them with:`n" +
            '    winget install Microsoft.VisualStudio.2022.BuildTools --override "--add Microsoft.VisualStudio.Workload.VCTools --includeRecommended --passive --wait"')
    }
    $script:dotnet = Find-Sdk
    if (-not $script:dotnet) { Install-Sdk; $script:dotnet = Find-Sdk }
    if (-not $script:dotnet) { Die 'the .NET SDK in .dotnet\ does not satisfy global.json' }
    $env:DOTNET_ROOT = Split-Path $script:dotnet
}

# Runs dotnet quietly: its output is shown when it fails, or holds a warning.
function Invoke-Quietly([string[]] $words) {
    $output = & $script:dotnet @words 2>&1 | Out-String
    if ($LASTEXITCODE -ne 0) { Say $output; exit 1 }
    if ($output -match 'warning (CS|CA|IDE|IL|NU|NETSDK|xUnit)\d+') { Say $output; Die 'warnings' }
}

function Publish {
    $rid = if ($env:PROCESSOR_ARCHITECTURE -eq 'ARM64') { 'win-arm64' } else { 'win-x64' }
    Say "Building out\stigmer.exe for $rid..."
    $staging = Join-Path $out '.publish'
    Invoke-Quietly @('publish', (Join-Path $root 'Stigmer.csproj'), '-c', 'Release', '-r', $rid, '-o', $staging, '--nologo', '-v', 'quiet')
    # An executable that runs cannot be written over, but it can be moved aside.
    if (Test-Path $exe) { Move-Item -Force $exe "$exe.old" }
    Move-Item -Force (Join-Path $staging 'stigmer.exe') $exe
    Remove-Item -Recurse -Force $staging
    Remove-Item -Force "$exe.old" -ErrorAction SilentlyContinue
}

function Test-UpToDate {
    if (-not (Test-Path $exe)) { return $false }
    $built = (Get-Item $exe).LastWriteTimeUtc
    $sources = Get-ChildItem $root -Recurse -File -Include '*.cs', '*.csproj', '*.props', '*.proto', 'global.json' |
        Where-Object { $_.FullName.Substring($root.Length) -notmatch '[\\/](out|\.git|\.dotnet|tests|bin|obj)[\\/]' }
    return -not ($sources | Where-Object { $_.LastWriteTimeUtc -gt $built } | Select-Object -First 1)
}

function Invoke-Tests {
    Publish
    Say 'Building the tests...'
    foreach ($project in 'unit', 'standins', 'endtoend') { Invoke-Quietly @('build', (Join-Path $root "tests\$project"), '--nologo', '-v', 'quiet') }
    $env:STIGMER_EXE = $exe
    $passed = 0
    $failed = 0
    foreach ($program in 'unit\bin\Debug\net10.0\Stigmer.Tests.exe', 'endtoend\bin\Debug\net10.0\Stigmer.EndToEnd.exe') {
        Say "Running $program..."
        $output = & (Join-Path $root "tests\$program") --no-ansi --progress off 2>&1 | Out-String
        $status = $LASTEXITCODE
        $p = if ($output -match '(?m)^\s*succeeded:\s*(\d+)') { [int] $Matches[1] } else { 0 }
        $f = if ($output -match '(?m)^\s*failed:\s*(\d+)') { [int] $Matches[1] } else { 0 }
        # A test program that died counts as a failure, whatever it had counted.
        if ($status -ne 0 -or $p -eq 0) { Say $output; if ($f -eq 0) { $f = 1 } }
        $passed += $p
        $failed += $f
    }
    Write-Output "$passed passed, $failed failed"
    if ($failed -ne 0) { exit 1 }
}

$first = if ($args.Count -gt 0) { $args[0] } else { '' }
switch ($first) {
    '' { Prepare; Publish; Say 'Built out\stigmer.exe' }
    'test' { Prepare; Invoke-Tests }
    'faults' { Die 'the fault harness finds what a stack leaves behind in /proc: it needs Linux, and ./build.sh faults' }
    default {
        if (-not (Test-UpToDate)) { Prepare; Publish }
        & $exe @args
        exit $LASTEXITCODE
    }
}
